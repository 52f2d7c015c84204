#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"
#include "migrate/migration_folder.hpp"

namespace drover {

// The root that a move has carried everything from. All of these expect a record with a move.

/// Its layers; the home need not be there.
std::unique_ptr<Driver> old_home(const MigrationFolder&);

/// The old root with its driver's records and layers in it; nothing where they are not there.
std::optional<Dir> whole_old_root(const MigrationFolder&);

/// Volumes that have something in them, sorted by name.
std::vector<std::string> filled_volumes(const Dir& data_root);

/// Throws Error (in_use) where the configuration names the new root, which is not whole: an engine may have
/// run there, and what it has made would be removed, or made anew.
void require_old_root_in_force(const MigrationFolder&);

/// Throws Error (in_use) where the new root is not as it was just before the configuration was to name it: an
/// engine has run there, and what it has made would be lost. The configuration does not name it now.
void require_new_root_unused(const MigrationFolder&);

/// The same as whole_old_root(). Throws Error where that is nothing: there is no way back.
Dir require_whole_old_root(const MigrationFolder&);

/// Throws Error, too, where the old root lacks what it had when it was carried and what the new root has:
/// that may be the only copy, and a rollback gives it up.
void require_old_root_carried(const MigrationFolder&);

}  // namespace drover
