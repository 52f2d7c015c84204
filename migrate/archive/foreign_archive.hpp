#pragma once
#include <string>
#include <vector>

#include "migrate/archive/archive_stream.hpp"
#include "migrate/archive/incoming_store.hpp"
#include "migrate/progress.hpp"

namespace drover {

/// Reads what `docker save` wrote, or an OCI image layout, whose files may come in any order: they are put
/// aside until all are there. Gives back what the user should know of it.
std::vector<std::string> receive_foreign_archive(ArchiveReader&, IncomingStore&, Progress&);

}  // namespace drover
