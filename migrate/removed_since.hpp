#pragma once
#include <set>

#include "drivers/driver.hpp"
#include "migrate/migration_folder.hpp"

namespace drover {

/// Of a rollback to a home whose layers had been renamed, once all of the old setup is in its place and while
/// no engine starts: takes what an engine has removed under the new setup out of the old records, since its
/// layers are gone. `gone`: the layers that are neither here nor there, and that the new records do not name
/// either. Warns of what users have names for. Goes on where it was cut.
void leave_out_removed(const Dir& data_root, const MigrationFolder&, Driver& source,
                       const std::set<LayerId>& gone);

}  // namespace drover
