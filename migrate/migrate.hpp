#pragma once
#include <optional>
#include <string>
#include <vector>

#include "drivers/entry_placer.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/preflight.hpp"
#include "migrate/progress.hpp"
#include "migrate/stage_layer.hpp"

namespace drover {

/// What a finished migration has done.
struct MigrationResult {
  DriverKind from = DriverKind::overlay2, to = DriverKind::overlay2;
  std::uint64_t images = 0, tags = 0, containers = 0;
  std::size_t proven = 0, compared = 0;    ///< layers of this run
  std::size_t renamed = 0;                 ///< layers that went as they are, proven before or not
  std::size_t not_proven = 0;              ///< layers that nothing was compared with, by --no-proof
  bool renames = false, no_proof = false;  ///< what the user asked for
  std::size_t earlier = 0;                 ///< layers that an interrupted run had finished, and that stand
  std::vector<std::string> damaged;        ///< layers that were damaged in the source already
  LeftBehind left;                         ///< damaged, or standing on what is
  bool left_unknown = false;               ///< the record of what an earlier run has left behind is lost
  std::vector<std::string> notes;          ///< the plan's
  std::string root;                        ///< the data root in force now
  std::optional<std::string> old_root;     ///< where that has moved from
  TransferCount transfer;
};

/// Stages, proves and switches; the data root's engine lock must be held. Of a move into another root, it is
/// the old one, the other one's lock must be held as well where it is there, and the new root's is taken
/// besides. Throws Error with nothing of the source changed: what is staged stays for `--resume`. Of a
/// migration that keeps going, what is found damaged on the way is taken out of the preflight.
MigrationResult run_migration(const DataRoot&, const MigrationRecord&, Preflight&, unsigned threads,
                              Progress&);
/// The same for one that was interrupted while staging.
MigrationResult resume_migration(const DataRoot&, MigrationFolder&, Preflight&, unsigned threads, Progress&);
/// Where the journal says `staging` and the disk does not, as in a data root that was copied during the
/// switch: writes down what the disk says. To be called before anything goes by the state.
void correct_state(const Dir& data_root, MigrationFolder&);
/// An interrupted switch of which nothing is done, and during which an engine may have run on the old setup,
/// is staging again: true. What was staged is then made and proven anew where it may have changed.
bool back_to_staging(const Dir& data_root, MigrationFolder&);
/// Goes on with a switch that was interrupted: everything is proven already. Throws Error (in_use) if an
/// engine may have run on the old setup since.
MigrationResult resume_switch(const DataRoot&, MigrationFolder&);

}  // namespace drover
