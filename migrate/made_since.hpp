#pragma once
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "migrate/migration_folder.hpp"

namespace drover {

/// What an engine has changed since the switch, and what a rollback makes of it. Names as users know them.
struct MadeSince {
  std::vector<std::string> containers, images;  ///< made, and given up
  std::vector<std::string> tags;                ///< of images that were there before
  std::vector<std::string> volumes;             ///< only where a data root has moved
  std::vector<std::string> removed;             ///< only where layers were renamed: they had no second copy
};

/// Of a migration that is switched; empty for any other. What cannot be read of the old setup counts as
/// made since.
MadeSince made_since_switch(const DataRoot&, const MigrationFolder&);

/// Names of the volumes in `a` that are not in `b`, sorted; both are data roots.
std::vector<std::string> volumes_only_in(const Dir& a, const Dir& b);

}  // namespace drover
