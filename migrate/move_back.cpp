#include "migrate/move_back.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>

#include "detect/engine_config.hpp"
#include "detect/late_engines.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/commit_check.hpp"
#include "migrate/foreign_entries.hpp"
#include "migrate/left_behind_record.hpp"
#include "migrate/made_since.hpp"
#include "migrate/old_root.hpp"
#include "migrate/root_paths.hpp"
#include "migrate/root_switch.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/stage_root.hpp"
#include "migrate/store_parts.hpp"
#include "migrate/target_root.hpp"
#include "migrate/way_back.hpp"

namespace drover {

namespace {

const RootMove& move_of(const MigrationFolder& folder) { return *folder.record().move; }

std::string from_name(const MigrationFolder& folder) {
  return std::string(driver_name(folder.record().from));
}
std::string to_name(const MigrationFolder& folder) { return std::string(driver_name(folder.record().to)); }

void clear_new_root(const MigrationFolder& folder) {
  const RootMove& move = move_of(folder);
  auto root = Dir::try_open(move.to_root);
  if (!root) return;
  driver_entry(folder.record().to)
      .open(move.to_root + "/" + to_name(folder), folder.record().to_home)
      ->remove_home();
  // What the old root has now may have been made since. While staging nothing is written down yet.
  std::vector<std::string> carried = RootSwitch(folder).carried();
  if (auto old = carried.empty() ? open_old_root(move) : std::nullopt)
    for (const DirEntry& entry : old->list()) carried.push_back(entry.name);
  RootEntries there = entries_of(*root, carried);
  for (const std::string& name : there.ours) root->remove_tree(name);
  if (!there.foreign.empty())
    log_warning("`" + move.to_root +
                "` holds what neither drover nor an engine has put there, and it stays: " +
                some_names(there.foreign));
  if (move.makes_root()) return;
  if (disk::fchown(root->fd(), move.uid, move.gid) != 0 || disk::fchmod(root->fd(), move.mode) != 0)
    throw_errno("cannot give `" + move.to_root + "` its mode and owner back");
}

/// All that the home holds, of layers that lie outside of it only those that are its own.
void remove_old_layers(const MigrationFolder& folder, const Inventory& before) {
  auto home = old_home(folder);
  if (home->layers_outside()) {
    std::set<LayerId> own = folder.finished_layers();
    if (auto left = read_left_behind(folder.dir()))
      for (const auto& [part, what] : *left) own.insert(what.files.begin(), what.files.end());
    for (const auto& [chain, layer] : before.layers) own.insert(layer.cache_id);
    for (const auto& [name, mount] : before.mounts) {
      own.insert(mount.mount_id);
      if (mount.init_id) own.insert(*mount.init_id);
    }
    home->claim({own.begin(), own.end()});
  }
  home->remove_home();
}

/// The records go last: by them it is known whose the containers are.
void remove_carried(const MigrationFolder& folder, const Dir& root, const Inventory& before) {
  auto left_out = left_out_of_move(before);
  // Of a container that cannot be read nobody can say whose it is, unless it is on the list of what was left
  // behind.
  auto unreadable = store::read_containers(root).damaged;
  if (auto left = read_left_behind(folder.dir()))
    for (const auto& [part, what] : *left)
      if (part.kind == Part::Kind::container) unreadable.erase(part.id);
  // A cut commit may have left a container without its configuration; by the records it is one of ours.
  for (const auto& [id, mount] : before.mounts) unreadable.erase(id);
  for (const std::string& name : RootSwitch(folder).carried()) {
    if (left_out(name) || name == kImage) continue;
    auto containers = name == kContainers ? root.try_sub(name) : std::nullopt;
    if (!containers || (before.foreign_containers.empty() && unreadable.empty())) {
      root.remove_tree(name);
      continue;
    }
    for (const DirEntry& entry : containers->list())
      if (!left_out(name + "/" + entry.name) && !unreadable.contains(entry.name))
        containers->remove_tree(entry.name);
  }
  for (const DirEntry& entry : root.list())
    if (is_engine_scratch(entry.name)) root.remove_tree(entry.name);
  auto image = root.try_sub(kImage);
  if (!image) return;
  image->remove_tree(from_name(folder));
  auto others = image->list();
  if (std::none_of(others.begin(), others.end(), [](const DirEntry& e) { return find_driver(e.name); }))
    root.remove_tree(kImage);
}

}  // namespace

void roll_back_move(MigrationFolder& folder) {
  MigrationState state = folder.state();
  if (state == MigrationState::committing)
    throw Error("the old setup is being deleted already", "`drover commit` finishes that");
  if (state != MigrationState::ended) {
    const RootMove& move = move_of(folder);
    RootSwitch way(folder);
    if (state == MigrationState::staging) require_old_root_in_force(folder);
    if (state == MigrationState::switching && !way.is_done()) require_new_root_unused(folder);
    // Of a rollback that was cut, too: what it has left of the new root may be the only copy by then. What
    // was never switched, or is no more, has no configuration to put back.
    if (!way.is_done() &&
        (state == MigrationState::staging || (state == MigrationState::rolling_back && !way.is_kept())))
      require_whole_old_root(folder);
    else
      require_old_root_carried(folder);
    refuse_mounts_below(move.to_root, "then try again");
    if (state == MigrationState::staging) folder.dir().remove_tree("kept");
    // An old root that cannot be written is found out before anything leads back to it. Nothing is changed by
    // this word, which it has had all along.
    if (state != MigrationState::rolling_back) folder.mark_pointer(MigrationState::staging);
    folder.set_state(MigrationState::rolling_back);
    way.backward();
    outlast_late_engines();
    folder.journal().step("the configuration names `" + move.from_root + "`");
    folder.mark_pointer(MigrationState::rolling_back);
    clear_new_root(folder);
  }
  folder.end();
}

void require_move_committable(const MigrationFolder& folder) {
  const MigrationRecord& record = folder.record();
  const RootMove& move = move_of(folder);
  if (folder.state() == MigrationState::committing && !RootSwitch(folder).is_done() && open_old_root(move))
    throw Error("`" + record.config_path + "` does not name the new root `" + move.config_root +
                    "`, and the rest of the old one is what this commit deletes",
                "save what an engine has made in `" + move.from_root +
                    "` since, name the new root there again as data-root, then: drover commit");
  if (folder.state() != MigrationState::switched) return;
  std::string back = "nothing was deleted; `drover rollback` goes back to `" + move.from_root + "`";
  if (!RootSwitch(folder).is_done())
    throw Error("`" + record.config_path + "` does not name the new root `" + move.config_root +
                    "`, and the old one is what a commit deletes",
                "name it there again as data-root, or go back: drover rollback");
  DataRoot now{move.to_root, record.config_path, true, record.to_home.owner};
  CurrentDriver current = find_current_driver(now, read_engine_config(record.config_path));
  if (current.name != to_name(folder))
    throw Error(
        "the engine does not use " + to_name(folder) + " but " +
            (current.name.empty() ? "nothing" : current.name) + " (" + current.source + ")",
        "name " + to_name(folder) + " in `" + record.config_path + "` again, or go back: drover rollback");
  Dir new_root = Dir::open(move.to_root);
  auto require = [&](const Dir& in, const std::string& name) {
    if (!in.try_sub(name)) throw Error("`" + in.path_of(name) + "` is missing", back);
  };
  require(new_root, kImage);
  require(new_root, to_name(folder));
  require(new_root.sub(kImage), to_name(folder));
  auto home = driver_entry(record.to).open(move.to_root + "/" + to_name(folder), record.to_home);
  for (const StoreProblem& problem : read_inventory(new_root, record.to, home.get()).problems)
    if (problem.fatal)
      throw Error(ExitCode::proof_failed, "the store in `" + move.to_root + "` is damaged: " + problem.what,
                  back);
  auto old_root = open_old_root(move);
  if (!old_root) return;  // deleted by hand, the folder itself, too: there is nothing left to be lost
  if (auto users = user_paths_into(new_root, move.from_root); !users.empty())
    throw Error(ExitCode::in_use, users[0].of + " uses `" + users[0].path + "` of the old root by its path",
                "make it anew with another path, or remove it, then commit");
  if (!folder.has_pointer())
    throw Error("`" + old_root->path_of("drover/" + folder.id()) +
                    "`, by which the old root is known, is missing: this may be another filesystem",
                "is the old root's filesystem mounted? If you have deleted what was in `" + move.from_root +
                    "`, remove that folder itself, too, then commit");
  require_containers_carried(*old_root, new_root, record, back);
  if (old_root->try_sub(kVolumes)) require(new_root, kVolumes);
  refuse_mounts_below(move.from_root, "then try again");
  if (EngineLock::held(move.from_root))
    throw Error(ExitCode::in_use,
                "an engine, or another drover, is using the old root `" + move.from_root + "`",
                "stop it first; what it has changed there is not in `" + move.to_root + "`");
  if (!RootSwitch(folder).old_root_has_nothing_new(*old_root))
    throw Error(
        "the old root `" + move.from_root +
            "` has changed since the switch, as by an engine that was "
            "started on it, and a commit would delete that",
        "look at it; then either go back to it (drover rollback), or delete what is in it yourself, all "
        "but its folder `drover`, and commit");
  // What was deleted by hand since is not needed for the rest to go.
  if (whole_old_root(folder))
    require_still_whole({old_root->sub(kImage).sub(from_name(folder)), *old_home(folder)},
                        {new_root.sub(kImage).sub(to_name(folder)), *home}, back);
  if (auto folder_of_home = old_root->try_sub(from_name(folder))) {
    auto old = old_home(folder);
    require_no_foreign(*folder_of_home, *old);
    if (auto blocker = old->removal_blocker()) throw Error(*blocker);
  }
}

std::string deleted_by_move_commit(const MigrationFolder& folder) {
  std::string text = "the layers of " + from_name(folder);
  std::vector<std::string> carried = RootSwitch(folder).carried();
  for (const std::string& name : carried) text += ", " + name;
  text += " in `" + move_of(folder).from_root + "`";
  auto old_root = open_old_root(move_of(folder)), new_root = Dir::try_open(move_of(folder).to_root);
  if (!old_root || !new_root || folder.state() != MigrationState::switched) return text;
  auto only_there = volumes_only_in(*old_root, *new_root);
  if (!only_there.empty())
    text += ", with volumes that are not in `" + move_of(folder).to_root +
            "` any more: " + some_names(only_there);
  return text;
}

void commit_move(MigrationFolder& folder) {
  auto root = open_old_root(move_of(folder));
  std::optional<EngineLock> lock;
  if (root && root->try_sub(kVolumes)) lock = EngineLock::take(root->path());
  try {
    // First there: where nothing can be written, nothing is begun that cannot be ended.
    folder.mark_pointer(MigrationState::committing);
  } catch (const SystemError& e) {
    // What is on that disk is what makes room.
    if (e.number() != ENOSPC && e.number() != EDQUOT)
      throw Error(e.what(),
                  folder.state() == MigrationState::switched
                      ? "nothing was deleted; see that the old root can be written, then: drover commit"
                      : "see that the old root can be written; if its disk is lost, unmount it, and "
                        "`drover commit` ends without it");
    log_warning(e.what());
  }
  if (folder.state() == MigrationState::switched) folder.set_state(MigrationState::committing);
  // That goes last: where it is not, nothing is left to be deleted, or this is another filesystem.
  if (root && !folder.has_pointer())
    log_warning("`" + root->path_of("drover/" + folder.id()) +
                "` is not there: what is in that root, if it is the old one, was not deleted");
  if (root && folder.has_pointer()) {
    Inventory before = read_inventory(*root, folder.record().from, nullptr);
    if (root->exists(from_name(folder))) remove_old_layers(folder, before);
    remove_carried(folder, *root, before);
  }
  folder.remove_pointer();
  folder.end();
}

}  // namespace drover
