#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "migrate/migration_folder.hpp"

namespace drover {

/// What was made with the engine since the switch, and would be given up by a rollback.
struct MadeSince {
  std::vector<std::string> containers;  ///< names
  std::vector<std::string> images;      ///< tags or short IDs
};
/// Of a migration that is switched; empty for any other.
MadeSince made_since_switch(const DataRoot&, const MigrationFolder&);

/// Gives a migration up: restores the old setup where something of it was switched, and removes the copy. In
/// any state but committing, and again after an interruption. The engine's lock must be held.
void roll_back(const Dir& data_root, MigrationFolder&);

/// Throws Error unless commit() may go on: in states switched and committing; and where it would begin, only
/// if the new setup is all there and in force, since what it deletes may else be the only copy.
void require_committable(const DataRoot&, const MigrationFolder&);

/// What commit() deletes outside of the data root, in words; empty: nothing.
std::string committed_outside(const MigrationFolder&);

/// Deletes what was put aside. Throws Error in any other state; of the rest see require_committable(). An
/// engine may be running: nothing that it uses is touched.
void commit(MigrationFolder&);

}  // namespace drover
