#pragma once
#include "migrate/archive/byte_stream.hpp"
#include "migrate/archive/incoming_store.hpp"
#include "migrate/progress.hpp"

namespace drover {

/// Reads an archive to its end into an empty store. It may be drover's (docs/archive-format.md), one of
/// `docker save`, or an OCI image layout in a tar, each compressed with zstd or gzip or not at all. Nothing
/// in it is trusted. Throws Error for one that is damaged, cut off or hostile; the store is of no use then.
/// Gives back what the user should know of it.
std::vector<std::string> receive_archive(ByteSource& stream, IncomingStore&, Progress&);

}  // namespace drover
