#include "migrate/preflight.hpp"

#include <linux/fs.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "detect/config_root.hpp"
#include "drivers/attributes.hpp"
#include "drivers/probe_backing.hpp"
#include "drivers/probe_scratch.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/config_file.hpp"
#include "migrate/foreign_entries.hpp"
#include "migrate/move_check.hpp"
#include "migrate/record_damage.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"
#include "migrate/survey.hpp"
#include "migrate/target_facts.hpp"
#include "migrate/target_place.hpp"
#include "migrate/target_root.hpp"

namespace drover {

namespace {

std::string name_of(DriverKind kind) { return std::string(driver_name(kind)); }

/// Gives back what --force has overridden, for the plan.
std::vector<std::string> require_usable(const std::string& root, DriverKind to, const HomeSettings& settings,
                                        bool force) {
  std::vector<std::string> overridden;
  Probe probe = driver_entry(to).probe(root, settings.storage_opts);
  std::string what = "cannot use " + name_of(to) + " on " + root + ": ";
  if (probe.usable == Probe::Usable::no) {
    bool named = probe.fix.find("drover select") != std::string::npos;
    std::string others = named ? "" : "choose another: drover select";
    if (probe.home_possible)
      others += (named ? "" : "; or ") + std::string("make its home for a host that has it: --force");
    // No force makes a filesystem hold what it cannot.
    if (!force || !probe.home_possible)
      throw Error(ExitCode::not_usable, what + probe.reason,
                  probe.fix + (probe.fix.empty() || others.empty() ? "" : "; or ") + others);
    overridden.push_back("no engine can start on the result here: " + probe.reason);
  }
  auto engine = installed_engine();
  auto drivers = priority_list(engine);
  if (std::find(drivers.begin(), drivers.end(), to) == drivers.end()) {
    std::string lack =
        (engine ? "the installed engine " + engine->text : "a current engine") + " has no " + name_of(to);
    if (!force)
      throw Error(ExitCode::not_usable, what + lack,
                  "choose another: drover select; or --force, for an engine that has it");
    overridden.push_back(lack);
  }
  if (!driver_entry(to).open)
    throw Error(ExitCode::not_usable, what + "drover cannot write its layers yet",
                "choose another: drover select");
  return overridden;
}

/// Where the engine was set to a driver and its data was left under another, the data is meant.
[[noreturn]] void refuse_same_driver(const Dir& dir, DriverKind to, bool from_is_named) {
  std::vector<DriverKind> full = full_stores(dir);
  bool has_own = std::find(full.begin(), full.end(), to) != full.end();
  if (from_is_named || has_own || full.empty())
    throw Error(ExitCode::usage, "the data is in " + name_of(to) + " already",
                "name another driver: --to DRIVER");
  std::string where, flags;
  for (DriverKind kind : full) {
    where += (where.empty() ? "" : " and ") + name_of(kind);
    flags += (flags.empty() ? "--from " : " or --from ") + name_of(kind);
  }
  throw Error(ExitCode::usage,
              "the engine is set to " + name_of(to) + ", whose store is empty; the data is in " + where,
              "say where to move from: " + flags);
}

std::unique_ptr<Driver> open_source(const DataRoot& root, const Dir& dir, DriverKind from,
                                    const HomeSettings& settings) {
  if (!driver_entry(from).open)
    throw Error("drover cannot read the layers of " + name_of(from) + " yet", "nothing was changed");
  auto image = store::records_dir(dir, kImage);
  if (!image || !store::records_dir(*image, driver_name(from)))
    throw Error("`" + root.path + "` has no records of " + name_of(from) + " (image/" + name_of(from) + ")",
                "`drover info` lists the stores that are there");
  auto home = dir.try_stat(driver_name(from));
  if (home && !S_ISDIR(home->st_mode))
    throw Error("`" + root.path + "/" + name_of(from) + "` is no directory but " +
                    (S_ISLNK(home->st_mode) ? "a symlink" : "a file") +
                    ", and drover follows none in a data root",
                "put the directory itself in its place, and try again");
  return driver_entry(from).open(root.path + "/" + name_of(from), settings);
}

void refuse_reluctant_target(const DataRoot& root, DriverKind to, const HomeSettings& settings) {
  std::string why = driver_entry(to).open(root.path + "/" + name_of(to), settings)->reluctance();
  if (!why.empty())
    throw Error(ExitCode::usage, "not without being told to: " + why, "if it shall be so: --yes-loop-lvm");
}

void refuse_damage(const std::vector<StoreProblem>& problems) {
  std::string first, fix;
  std::size_t count = 0;
  for (const StoreProblem& problem : problems) {
    if (!problem.fatal || count++ > 0) continue;
    first = problem.what;
    fix = problem.fix;
    for (std::size_t i = 0; i < problem.concerns.size(); ++i)
      first += (i ? ", " : " (needed by ") + problem.concerns[i];
    if (!problem.concerns.empty()) first += ")";
  }
  if (count == 0) return;
  if (count > 1) first += "; and " + std::to_string(count - 1) + " more";
  if (!fix.empty()) throw Error("cannot read Docker's records as they are: " + first, fix);
  throw Error(
      "Docker's records are damaged: " + first,
      "`drover verify` lists all damage; remove what uses it with the engine, then try again; or leave "
      "it behind: --keep-going");
}

/// A rollback puts the old records in order by one exchange of two names, which zfs before 2.2 does not know.
void require_exchange_possible(const Dir& dir, const std::string& hint) {
  Scratch scratch(dir.path());
  for (const char* name : {"one", "other"}) scratch.dir().make_dir(name, 0700);
  try {
    scratch.dir().rename("one", scratch.dir(), "other", RENAME_EXCHANGE);
  } catch (const SystemError& e) {
    throw Error(ExitCode::not_usable,
                "the filesystem of `" + dir.path() +
                    "` cannot exchange two names, which the way back from renamed layers needs: " + e.what(),
                hint);
  }
}

/// The switch renames the records between the data root and `image/`.
void require_records_renamable(const Dir& dir) {
  Dir image = dir.sub(kImage);
  std::string why;
  if (!on_one_mount(dir, image))
    why = "is a subvolume or a filesystem of its own";
  else if (quota_project(dir) != quota_project(image))
    why = "has another quota project than the data root";
  if (!why.empty())
    throw Error(
        ExitCode::not_usable,
        "cannot switch drivers in `" + dir.path() + "`: `" + image.path() + "` " + why +
            ", so that nothing can be renamed into it",
        "make it a plain folder of the data root (with the engine stopped: cp -a it, and put the copy in "
        "its place), or go to another root, where nothing is renamed: --to-root");
}

/// Where the layers cannot be renamed, all of them, that is said before anything is looked at.
void require_renames_possible(const DataRoot& root, const Dir& dir, const Driver& source, DriverKind to,
                              const MigrateOptions& options) {
  auto target = driver_entry(to).open ? driver_entry(to).open(root.path + "/" + name_of(to), {}) : nullptr;
  const std::string copy = "leave --move out: the layers are copied then";
  if (options.to_root || options.move)
    throw Error(ExitCode::usage, "--move renames layers, and into another data root they are copied", copy);
  for (const Driver* driver : {&source, static_cast<const Driver*>(target.get())})
    if (!driver || !driver->layers_can_be_renamed())
      throw Error(ExitCode::not_usable,
                  "cannot rename the layers of " + name_of(source.kind()) + " into a home of " + name_of(to) +
                      ": that is possible among overlay2, fuse-overlayfs and aufs, which keep a layer as a "
                      "folder of what it changes",
                  copy);
  if (!on_one_mount(dir, dir.sub(name_of(source.kind()))))
    throw Error(ExitCode::not_usable,
                "cannot rename the layers in `" + dir.path_of(name_of(source.kind())) +
                    "`: that is on another filesystem, or mounted apart from the data root",
                copy);
  require_exchange_possible(dir, copy);
}

/// Takes what is damaged out of what was found. What cannot be left behind by itself ends it all.
void leave_damage(const Dir& dir, const MigrateOptions& options, Preflight& found) {
  std::vector<StoreProblem> damage = found.inventory.problems;
  auto add = [&](std::vector<StoreProblem> more) {
    damage.insert(damage.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  if (!options.force) add(unprovable_layers(found.inventory));
  add(unreadable_records(dir, found.inventory));
  for (const StoreProblem& problem : damage)
    if (problem.fatal && problem.parts.empty())
      throw Error("--keep-going cannot leave this behind, since it concerns all images: " + problem.what,
                  problem.fix.empty() ? "repair it first, from a backup say" : problem.fix);
  leave_behind(found.inventory, found.facts, damage);
  if (auto cache = build_cache_problems(dir, found.inventory.left); !cache.empty())
    leave_behind(found.inventory, found.facts, cache);
}

/// What the admin has set on containers' layers, and no records know of.
void note_own_settings(Plan& plan, const Inventory& inventory, const Driver& source) {
  auto settings = source.own_settings();
  for (const auto& [id, container] : inventory.containers) {
    auto mount = inventory.mounts.find(id);
    if (mount == inventory.mounts.end()) continue;
    auto own = settings.find(mount->second.mount_id);
    if (own == settings.end()) continue;
    std::string list;
    for (const std::string& one : own->second) list += (list.empty() ? "" : ", ") + one;
    plan.notes.push_back("container " + display_name(container) +
                         ": what was set on its layer by hand is not carried to " + name_of(plan.to) + ": " +
                         list);
  }
}

void note_foreign(Plan& plan, const Dir& data_root, const Driver& source) {
  auto home = data_root.try_sub(name_of(source.kind()));
  if (auto foreign = home ? foreign_in_home(*home, source) : std::vector<std::string>(); !foreign.empty())
    plan.notes.push_back("what no engine has made is not carried, and must be elsewhere before a commit: " +
                         some_names(foreign));
}

}  // namespace

bool still_runs(const ContainerRecord& container) {
  if (!container.running || container.pid <= 0) return false;
  std::string process = "/proc/" + std::to_string(container.pid);
  for (const char* file : {"/cgroup", "/mountinfo"}) {
    std::ifstream lines(process + file);
    for (std::string line; std::getline(lines, line);)
      if (line.find(container.id) != std::string::npos) return true;
  }
  return false;
}

namespace {
bool sees_all_processes() {
  std::error_code error;
  // PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h
  return std::filesystem::read_symlink("/proc/self/ns/pid", error) == "pid:[4026531836]";
}
}  // namespace

void refuse_if_running(const ContainerRecord& container) {
  if (!still_runs(container)) {
    if (container.running && container.pid > 0 && !sees_all_processes())
      log_warning("container " + display_name(container) + " has no end in its record, and whether it runs " +
                  "cannot be seen from a PID namespace other than the host's: see to it that it does not");
    return;
  }
  throw Error(ExitCode::in_use,
              "container " + display_name(container) + " still runs (pid " + std::to_string(container.pid) +
                  "), without an engine",
              "start the engine, stop its containers, and stop it again; live-restore keeps them running");
}

void refuse_running_containers(const Inventory& inventory) {
  for (const auto& [id, container] : inventory.containers) refuse_if_running(container);
}

void refuse_running_containers(const Dir& data_root) {
  for (const auto& [id, container] : store::read_containers(data_root).containers)
    refuse_if_running(container.record);
}

void require_importable(const DataRoot& root, DriverKind to, const HomeSettings& settings, bool force) {
  require_usable(root.path, to, settings, force);
}

DriverKind require_current_driver(const DataRoot& root, const EngineConfig& config, const std::string& flag) {
  CurrentDriver current = find_current_driver(root, config);
  if (current.containerd)
    throw Error("the engine keeps its images in containerd's store (" + current.source +
                    "), which has no storage driver",
                "if there is data of a storage driver in `" + root.path + "`, name it: " + flag + " DRIVER");
  if (!current.kind)
    throw Error("cannot tell which driver's data is meant: " + current.source,
                "name it: " + flag + " DRIVER");
  return *current.kind;
}

Dir open_data_root_for_change(const DataRoot& root) {
  auto dir = root.exists ? Dir::try_open(root.path) : std::nullopt;
  if (!dir)
    throw Error("there is no data root `" + root.path + "` (" + root.source + ")",
                "name the engine's with --data-root; `docker info` shows it as Docker Root Dir");
  if (dir->stat().st_uid != 0)
    throw Error(
        ExitCode::not_usable,
        "`" + root.path + "` belongs to user " + std::to_string(dir->stat().st_uid) +
            ": it is a rootless engine's, whose layers carry marks and owners of their own, and drover "
            "does not move those yet",
        "nothing was changed");
  if (!store::records_dir(*dir, kImage) && !dir->try_sub("drover"))
    throw Error("`" + root.path + "` is no engine's data root: it has no folder `image`",
                "name the engine's with --data-root; `docker info` shows it as Docker Root Dir");
  return std::move(*dir);
}

void refuse_mounts(const DataRoot& root, DriverKind from, DriverKind to) {
  for (const MountEntry& mount : read_mounts()) {
    if (!mount.target.starts_with(root.path + "/")) continue;
    std::string below = mount.target.substr(root.path.size() + 1);
    std::string top = below.substr(0, below.find('/'));
    if (top != driver_name(from) && top != driver_name(to) && top != kImage && top != kContainers &&
        top != kBuildRecords && top != "drover")
      continue;
    std::string what =
        "`" + printable(mount.target) + "` is mounted, so that `" + root.path + "/" + top + "` ";
    if (below != top)
      throw Error(ExitCode::in_use, what + "is in use",
                  "does a container still run? Stop it, or unmount what a killed engine has left: umount " +
                      printable(mount.target));
    throw Error(ExitCode::in_use, what + "cannot be renamed",
                "if a killed engine has left it: umount " + printable(mount.target) +
                    "; a home on a filesystem of its own drover cannot move yet");
  }
}

Preflight check_migration(const DataRoot& root, const EngineConfig& config, const MigrateOptions& options) {
  Dir dir = open_data_root_for_change(root);
  Preflight found;
  found.from = options.from ? *options.from : require_current_driver(root, config, "--from");
  DriverKind to = options.to.value_or(found.from);
  found.move = options.move;
  if (options.to_root) found.move = plan_root_move(*options.to_root, root);
  if (found.from == to && !found.move) refuse_same_driver(dir, to, options.from.has_value());
  const std::string& target_root = found.move ? found.move->to_root : root.path;
  BackingFilesystem backing = probe_backing(target_root);
  if (options.offline && found.from != DriverKind::devicemapper)
    throw Error(ExitCode::usage,
                "--offline is a way to read devicemapper's layers, and the data is in " + name_of(found.from),
                "leave it out");
  found.from_home = {root.owner, storage_opts_in_force(config), options.offline};
  found.source = open_source(root, dir, found.from, found.from_home);
  if (found.move)
    check_root_move(*found.move, config, backing, to);
  else {
    refuse_mounts(root, found.from, to);
    require_records_renamable(dir);
  }
  if (options.renames) require_renames_possible(root, dir, *found.source, to, options);
  store::records_dir(dir, kBuildRecords);  // throws for a symlink, which would be left behind
  require_storage_opts(name_of(to), options.storage_opts);
  if (as_utf8(config.config_path) != config.config_path)
    throw Error(
        "the path of the configuration, `" + config.config_path + "`, is no UTF-8, and a plan cannot hold it",
        "rename its folder or name it by another way: --config");
  ConfigFile(config.config_path).require_replaceable();
  found.new_config =
      config_with_driver(config.config_text, name_of(to), options.storage_opts, &found.removed);
  if (found.move) found.new_config = config_with_root(found.new_config, found.move->config_root);
  refuse_flags_in_the_way(config, name_of(to), found.new_config);
  found.to_home = {root.owner, storage_opts_of(found.new_config), false};
  std::vector<std::string> overridden = require_usable(target_root, to, found.to_home, options.force);
  if (!options.yes_loop_lvm) refuse_reluctant_target(root, to, found.to_home);
  if (!found.move) require_free_target(root, dir, to, found.to_home);
  found.inventory = read_inventory(dir, found.from, found.source.get());
  if (!options.keep_going) refuse_damage(found.inventory.problems);
  refuse_running_containers(found.inventory);
  std::optional<Marks> renamed_to;
  if (options.renames)
    renamed_to = driver_entry(to).open(root.path + "/" + name_of(to), found.to_home)->marks();
  Survey survey = survey_layers(dir, found.inventory, *found.source, options.threads, renamed_to);
  if (!options.keep_going) refuse_damage(survey.problems);
  auto& problems = found.inventory.problems;
  problems.insert(problems.end(), survey.problems.begin(), survey.problems.end());
  found.facts = std::move(survey.facts);
  if (options.keep_going) leave_damage(dir, options, found);
  if (found.move) found.rest = survey_rest(dir, found.inventory);
  TargetFacts target = look_at_target(target_root, backing, to, found.to_home, *found.source, dir,
                                      found.inventory, found.move ? &found.rest : nullptr);
  if (found.move && !on_one_filesystem(*found.move)) target.reflink = false;
  target.renames = options.renames;
  found.plan = make_plan(found.inventory, found.source->form(), found.facts, target);
  if (found.move)
    for (std::string& note : notes_of_move(*found.move, root, dir, config, backing, found.rest))
      found.plan.notes.push_back(std::move(note));
  found.plan.notes.insert(found.plan.notes.begin(), overridden.begin(), overridden.end());
  note_own_settings(found.plan, found.inventory, *found.source);
  note_foreign(found.plan, dir, *found.source);
  if (std::string outside = found.source->outside(); !outside.empty())
    found.plan.notes.push_back("outside of the data root, `drover commit` will delete " + outside);
  return found;
}

}  // namespace drover
