#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "migrate/migration_folder.hpp"

namespace drover {

/// Gives a migration up: restores the old setup where something of it was switched, and removes the copy. In
/// any state but committing, and again after an interruption. The engine's lock must be held.
void roll_back(const Dir& data_root, MigrationFolder&);

/// Throws Error unless commit() may go on: in states switched and committing; and where it would begin, only
/// if the new setup is all there and in force, since what it deletes may else be the only copy.
/// What the migration has left behind goes only with `discard_left_behind`, and not at all where the record
/// of it is lost.
void require_committable(const DataRoot&, const MigrationFolder&, bool discard_left_behind);

/// Throws Error unless each container of a migrated store is in force in the new root as one of the new
/// driver, or was removed with the engine, which lets go of its writable layer before it removes its folder.
/// `old` is where the old `containers/` is.
void require_containers_carried(const Dir& old, const Dir& new_root, const MigrationRecord&,
                                const std::string& hint);

/// What commit() deletes, in words: "the old data of overlay2 in `/var/lib/docker/drover/...`".
std::string deleted_by_commit(const MigrationFolder&);

/// Deletes what was put aside, or the old root. Throws Error in any other state; of the rest see
/// require_committable(). An engine may be running: nothing that it uses is touched.
void commit(MigrationFolder&);

}  // namespace drover
