#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "detect/engine_config.hpp"
#include "drivers/driver.hpp"
#include "migrate/left_behind.hpp"
#include "migrate/plan.hpp"
#include "migrate/root_move.hpp"
#include "migrate/stage_root.hpp"
#include "migrate/store.hpp"

namespace drover {

/// What the user asks `drover migrate` for.
struct MigrateOptions {
  std::optional<DriverKind> to;        ///< nothing: as it is, which only a move into another root can be
  std::optional<DriverKind> from;      ///< nothing: the engine's current driver
  std::optional<std::string> to_root;  ///< into this data root
  std::optional<RootMove> move;        ///< the same, of one that has begun already
  std::vector<std::string> storage_opts;
  /// Go on where the installed engine or the running kernel does not have the target's driver (but never
  /// where the filesystem cannot hold its layers), or image layers are damaged in the source already.
  bool force = false;
  bool renames = false;     ///< layers are renamed into the new home instead of copied
  bool keep_going = false;  ///< what is damaged is left behind, and what needs it
  unsigned threads = 1;
  bool offline = false;       ///< read the source without the kernel's part of its driver
  bool yes_loop_lvm = false;  ///< make a home that its driver is reluctant to make
};

/// Everything that must hold before a migration may begin, found out without changing anything.
struct Preflight {
  DriverKind from = DriverKind::overlay2;
  std::unique_ptr<Driver> source;
  Inventory inventory;
  FactsOfLayers facts;
  Plan plan;
  HomeSettings from_home, to_home;
  std::optional<RootMove> move;      ///< into another data root
  RootRest rest;                     ///< what moves then besides layers
  std::string new_config;            ///< the engine's configuration as the switch will write it
  std::vector<std::string> removed;  ///< storage-opts that the target does not take
};

/// Throws Error with the documented exit code for whatever does not hold. That there is room enough is left
/// to the caller: Plan::fits().
Preflight check_migration(const DataRoot&, const EngineConfig&, const MigrateOptions&);

/// Whether the process that a container's record names is still that container's: its control group, or what
/// is mounted in it, carries the container's ID. The number alone may be another process's by now.
bool still_runs(const ContainerRecord&);
/// A container outlives its engine where that was killed, or has live-restore, and would go on writing.
/// Throws Error (in_use).
void refuse_running_containers(const Inventory&);
/// The same of all in a data root that can be read, of whichever driver.
void refuse_running_containers(const Dir& data_root);

/// Throws Error (not_usable) if new layers cannot be made under this driver here; `force` as in
/// MigrateOptions.
void require_importable(const DataRoot&, DriverKind, const HomeSettings&, bool force);

/// The engine's current driver. Throws Error, with `flag` as the way to name one, where it has none.
DriverKind require_current_driver(const DataRoot&, const EngineConfig&, const std::string& flag);

/// What every verb that changes a data root asks first. Throws Error: no data root there.
Dir open_data_root_for_change(const DataRoot&);

/// Throws Error (in_use) if something is mounted where the switch will rename, as a killed engine or a
/// container that still runs leaves it.
void refuse_mounts(const DataRoot&, DriverKind from, DriverKind to);

}  // namespace drover
