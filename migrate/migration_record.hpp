#pragma once
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "migrate/root_move.hpp"

namespace drover {

/// What a migration is about, fixed when it begins: `plan.json` in its folder.
struct MigrationRecord {
  DriverKind from = DriverKind::overlay2, to = DriverKind::overlay2;
  std::string config_path;                ///< the engine's configuration file that the switch writes
  std::vector<std::string> storage_opts;  ///< --storage-opt
  /// Both homes' settings when it began: the configuration that they come from changes on the way.
  HomeSettings from_home, to_home;
  bool force = false;            ///< --force
  bool keep_going = false;       ///< --keep-going: what is damaged is left behind (left_behind_record.hpp)
  std::optional<RootMove> move;  ///< into another data root
  /// Layers are renamed from the old home into the new one: there is one copy (layer_renames.hpp).
  bool renames = false;
  bool no_proof = false;  ///< --no-proof: what was carried is not read back
  bool import = false;    ///< not a migration: an archive is imported into the store of `to`
};

/// The text of plan.json. `is_pointer`: of the one in the old root, which says that the migration is kept in
/// the new one. A record with a move, of a migration that keeps going or that
/// renames layers or proves nothing, or of an import, has a version of its own, so that a drover which knows
/// none refuses it.
std::string record_text(const MigrationRecord&, bool is_pointer = false);
/// Throws Error "is ..." that lacks the file's name.
MigrationRecord parse_record(const std::string& text, bool& is_pointer);

/// In words: "from overlay2 to vfs", "of `/var/lib/docker` to `/mnt/docker`, from overlay2 to btrfs".
std::string describe(const MigrationRecord&);

}  // namespace drover
