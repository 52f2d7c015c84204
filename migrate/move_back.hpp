#pragma once
#include <string>
#include <vector>

#include "migrate/migration_folder.hpp"

namespace drover {

// The way back from a move into another data root, and the end of one: what way_back.hpp does for migrations
// within a root. All of them expect a record with a move.

/// Puts the old configuration back, by one rename, and removes what was made for and in the new root. Throws
/// Error where the old root is not all there any more, or something is mounted in the new one. The locks of
/// both must be held. Files in the new root that are neither carried nor an engine's stay.
void roll_back_move(MigrationFolder&);

/// Throws Error unless the new root is all there and in force, and the old one unused and as it was.
void require_move_committable(const MigrationFolder&);

/// What commit_move deletes, in words.
std::string deleted_by_move_commit(const MigrationFolder&);

/// Deletes from the old root what was carried, with the driver's layers; its folder itself stays, and
/// whatever else is in it. Goes on where it was cut.
void commit_move(MigrationFolder&);

}  // namespace drover
