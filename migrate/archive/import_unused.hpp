#pragma once
#include <set>
#include <string>

#include "migrate/archive/import_record.hpp"
#include "migrate/migration_folder.hpp"

namespace drover {

/// The records of a data root that cannot be read, or make no sense, as "layerdb/sha256/4f5c...": what they
/// stand on, nobody can say.
std::set<std::string> unreadable_names(const Dir& data_root, DriverKind);

/// Throws Error if something was made since that stands on what was placed, a name of an image among it, or
/// may do so: its record cannot be read, and could be when the import began, or was not there. To be asked
/// before it is taken back.
void require_unused(const Dir& data_root, const MigrationFolder&, const ImportRecord&);

}  // namespace drover
