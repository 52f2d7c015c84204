#include "migrate/way_back.hpp"

#include <algorithm>

#include "detect/engine_config.hpp"
#include "detect/late_engines.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/commit_check.hpp"
#include "migrate/config_file.hpp"
#include "migrate/foreign_entries.hpp"
#include "migrate/left_behind.hpp"
#include "migrate/left_behind_record.hpp"
#include "migrate/move_back.hpp"
#include "migrate/next_step.hpp"
#include "migrate/record_list.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"
#include "migrate/switch.hpp"

namespace drover {

namespace {

void require_finished(MigrationState state) {
  if (state != MigrationState::switched && state != MigrationState::committing &&
      state != MigrationState::ended)
    throw Error("the migration is not finished: it is " + std::string(state_name(state)), next_step(state));
}

/// The old home where it was put aside, if it is still there.
std::unique_ptr<Driver> kept_home(const MigrationFolder& folder) {
  auto kept = folder.dir().try_sub("kept");
  if (!kept || !kept->try_sub("home")) return nullptr;
  return driver_entry(folder.record().from).open(folder.kept_home_path(), folder.record().from_home);
}

/// What was staged must be in force.
void require_twins_in_place(const Dir& root, const MigrationFolder& folder, const std::string& hint) {
  for (const char* twin : {kContainers, kBuildRecords})
    if (folder.dir().exists(twin))
      throw Error(
          "`" + root.path_of(twin) + "` is not the new one, which is still in `" + folder.dir().path() + "`",
          hint);
}

/// Records and home that were lost, and that an engine has made anew, are sound, and name nothing.
void require_records_carried(const Dir& kept, const Dir& old_records, const Dir& records,
                             const std::string& hint) {
  if (were_put_in_place(kept, records) != false) return;
  std::set<LayerId> before = store::layers_named_by(store::read_layerdb(old_records));
  std::set<LayerId> now = store::layers_named_by(store::read_layerdb(records));
  bool some = std::any_of(before.begin(), before.end(), [&](const LayerId& id) { return now.contains(id); });
  if (before.empty() || some) return;
  throw Error(
      ExitCode::proof_failed,
      "`" + records.path() +
          "` is not what the switch put there, and names nothing of what was carried: it was lost, and "
          "made anew by an engine",
      hint + "; if all of that was removed with the engine, remove `" + kept.path_of(kRecordsInode) +
          "`, then: drover commit");
}

/// The old data is the only copy of what was left behind.
void require_nothing_left_behind(const MigrationFolder& folder, bool discard) {
  if (!folder.record().keep_going || folder.state() != MigrationState::switched) return;
  auto left = read_left_behind(folder.dir());
  if (!left)
    throw Error(
        "nothing was deleted: this migration has left behind what was damaged, and the record of that, `" +
            folder.dir().path_of(kLeftBehindFile) + "`, is missing or damaged",
        "what is not in the new setup is in the old one alone: `drover rollback` goes back to it");
  if (left->empty() || discard) return;
  throw Error(
      "nothing was deleted: what the migration has left behind is in the old data alone: " + names_of(*left),
      "to delete that, too: drover commit --discard-left-behind; `drover rollback` goes back to it");
}

}  // namespace

void require_containers_carried(const Dir& old, const Dir& new_root, const MigrationRecord& record,
                                const std::string& hint) {
  std::string from(driver_name(record.from)), to(driver_name(record.to));
  auto layers = new_root.sub(kImage).sub(to).try_sub("layerdb");
  auto mounts = layers ? layers->try_sub("mounts") : std::nullopt;
  store::ContainerDb now = store::read_containers(new_root);
  for (const auto& [id, was] : store::read_containers(old).containers) {
    if (find_driver(was.record.driver) != &driver_entry(record.from) || now.damaged.contains(id)) continue;
    auto found = now.containers.find(id);
    bool lost = found == now.containers.end() && mounts && mounts->exists(id);
    bool still_old = found != now.containers.end() && record.from != record.to &&
                     found->second.record.driver == was.record.driver;
    if (lost || still_old)
      throw Error(
          ExitCode::proof_failed,
          "container " + display_name(was.record) +
              (lost ? " is not in `" + new_root.path_of(kContainers) + "`, though its writable layer is there"
                    : " is still one of " + from + " in `" + new_root.path_of(kContainers) + "`"),
          hint);
  }
}

namespace {
void go_back(const Dir& data_root, MigrationFolder& folder) {
  if (folder.record().move) return roll_back_move(folder);
  MigrationState state = folder.state();
  if (state == MigrationState::committing)
    throw Error("the old setup is being deleted already", "`drover commit` finishes that");
  if (state != MigrationState::staging && state != MigrationState::ended) {
    ConfigFile(folder.record().config_path).require_replaceable();
    Switch way(data_root, folder);
    way.require_way_back();
    way.look_back();
    if (state != MigrationState::rolling_back) folder.set_state(MigrationState::rolling_back);
    way.backward();
    outlast_late_engines();
  }
  folder.end();
}
}  // namespace

void roll_back(const Dir& data_root, MigrationFolder& folder) {
  naming_next_step(folder, [&] { go_back(data_root, folder); });
}

void require_committable(const DataRoot& root, const MigrationFolder& folder, bool discard_left_behind) {
  require_finished(folder.state());
  require_nothing_left_behind(folder, discard_left_behind);
  if (folder.record().move) return require_move_committable(folder);
  if (folder.state() != MigrationState::switched) return;
  const MigrationRecord& record = folder.record();
  std::string from(driver_name(record.from)), to(driver_name(record.to));
  std::string only_copy =
      "nothing was deleted: the old data may be the only copy; `drover rollback` goes back to it";
  EngineConfig config = read_engine_config(record.config_path);
  CurrentDriver current = find_current_driver(root, config);
  if (current.name != to)
    throw Error("the engine does not use " + to + " but " +
                    (current.name.empty() ? "nothing" : current.name) + " (" + current.source + "), and " +
                    from + "'s data is what a commit deletes",
                "name " + to + " in `" + config.config_path + "` again, or go back: drover rollback");
  Dir dir = Dir::open(root.path);
  auto require = [&](const Dir& in) {
    if (!in.try_sub(to)) throw Error("`" + in.path_of(to) + "` is missing", only_copy);
  };
  require(dir);
  require(dir.sub("image"));
  require_twins_in_place(dir, folder, only_copy);
  if (auto kept = folder.dir().try_sub("kept")) require_containers_carried(*kept, dir, record, only_copy);
  auto home = driver_entry(record.to).open(root.path + "/" + to, record.to_home);
  for (const StoreProblem& problem : read_inventory(dir, record.to, home.get()).problems)
    if (problem.fatal)
      throw Error(ExitCode::proof_failed, "the store of " + to + " is damaged: " + problem.what,
                  only_copy + "; to stay, remove with the engine what is damaged");
  auto old = kept_home(folder);
  auto kept = folder.dir().try_sub("kept");
  if (auto records = kept ? kept->try_sub("image") : std::nullopt; records && old) {
    Dir now = dir.sub("image").sub(to);
    require_records_carried(*kept, *records, now, only_copy);
    require_still_whole({*records, *old}, {now, *home}, only_copy);
  }
  if (old) require_no_foreign(folder.dir().walk("kept/home"), *old);
  // Once begun it cannot be taken back.
  if (auto blocker = old ? old->removal_blocker() : std::nullopt) throw Error(*blocker);
}

std::string deleted_by_commit(const MigrationFolder& folder) {
  if (folder.record().move) return deleted_by_move_commit(folder);
  auto home = kept_home(folder);
  std::string outside = home ? home->outside() : "";
  return "the old data of " + std::string(driver_name(folder.record().from)) + " in `" + folder.dir().path() +
         "`" + (outside.empty() ? "" : ", and with it " + outside);
}

void commit(MigrationFolder& folder) {
  require_finished(folder.state());
  naming_next_step(folder, [&] {
    if (folder.record().move) return commit_move(folder);
    if (folder.state() == MigrationState::switched) folder.set_state(MigrationState::committing);
    folder.remove_content();
    folder.end();
  });
}

}  // namespace drover
