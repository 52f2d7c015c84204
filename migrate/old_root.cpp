#include "migrate/old_root.hpp"

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/commit_check.hpp"
#include "migrate/record_list.hpp"
#include "migrate/root_switch.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/stage_root.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

std::string old_driver(const MigrationFolder& folder) {
  return std::string(driver_name(folder.record().from));
}

bool is_filled(const Dir& root, const std::string& volume) {
  auto volumes = root.try_sub(kVolumes);
  auto own = volumes ? volumes->try_sub(volume) : std::nullopt;
  auto data = own ? own->try_sub("_data") : std::nullopt;
  return data && !data->list().empty();
}

class OldRootCheck {
 public:
  OldRootCheck(const MigrationFolder& folder, const Dir& old_root, const Dir& new_root)
      : folder_(folder), old_(old_root), new_(new_root) {}

  void run() const {
    RootSwitch way(folder_);
    for (const std::string& name : way.carried())
      if (!old_.exists(name) && new_.exists(name)) refuse(name);
    for (const std::string& volume : way.volumes())
      if (!is_filled(old_, volume) && is_filled(new_, volume)) refuse(kVolumes + ("/" + volume));
    Dir records = old_.sub(kImage).sub(old_driver(folder_));
    store::LayerDb db = store::read_layerdb(records);
    require_containers(db);
    if (auto lost = way.lost_in(old_))
      throw Error("the old root is not as it was: " + *lost + "; the copy in `" + new_.path() +
                      "`, which a rollback removes, may be the only one",
                  stay_ + "; to go back without it, remove `" + folder_.kept().path_of(kRecordList) + "`");
    require_layers(store::layers_named_by(db));
    require_content(records);
  }

 private:
  [[noreturn]] void refuse(const std::string& path) const {
    throw Error("`" + printable(old_.path() + "/" + path) +
                    "` is missing or empty, and was carried from there: the copy in `" + new_.path() +
                    "`, which a rollback removes, may be the only one",
                "copy it back from `" + printable(new_.path() + "/" + path) +
                    "`, or, if it is not wanted, remove it there, too; then try again. `drover commit` stays "
                    "with the new root");
  }

  void require_containers(const store::LayerDb& db) const {
    auto here = old_.try_sub(kContainers), there = new_.try_sub(kContainers);
    for (const auto& [id, mount] : db.mounts)
      if (there && there->exists(id) && !(here && here->exists(id))) refuse(kContainers + ("/" + id));
  }

  /// None where they are lost, or cannot be read: a new root that is broken is what a rollback leads away
  /// from.
  std::set<LayerId> named_in_new_root() const {
    auto image = new_.try_sub(kImage);
    auto records = image ? image->try_sub(driver_name(folder_.record().to)) : std::nullopt;
    if (!records) return {};
    try {
      return store::layers_named_by(store::read_layerdb(*records));
    } catch (const Error& e) {
      if (!is_damage(e)) throw;
      return {};
    }
  }

  void require_layers(const std::set<LayerId>& named) const {
    auto home = old_home(folder_), copies = new_home();
    const std::set<LayerId> named_now = named_in_new_root();
    const std::set<LayerId>& finished = folder_.finished_layers();
    auto is_whole = [&](const LayerId& id) { return named.contains(id) && home->contains(id); };
    const bool some_whole = std::any_of(finished.begin(), finished.end(), is_whole);
    for (const LayerId& id : finished) {
      if (is_whole(id)) continue;
      bool there = home->contains(id), known = named.contains(id);
      if (there && !named_now.contains(id)) continue;  // no record has named it: it is BuildKit's
      // An engine that was used on the old root since, and removes a layer, takes it out of its records, too.
      if (!there && !known && some_whole) continue;
      if (!copies->contains(id)) continue;
      throw Error(
          "layer " + short_id(id) + (there ? " is not in the records of " : " is not in the home of ") +
              old_driver(folder_) + " in `" + old_.path() + "`, and was carried from there: the copy in `" +
              new_.path() + "`, which a rollback removes, may be the only one",
          "restore it, or, if it is not wanted, remove `" + copies->place_of(id) +
              "`, too; then try again. `drover commit` stays with the new root");
    }
  }

  void require_content(const Dir& records) const {
    auto image = new_.try_sub(kImage);
    auto copied = image ? image->try_sub(driver_name(folder_.record().to)) : std::nullopt;
    if (copied) require_shown_still({records, *old_home(folder_)}, {*copied, *new_home()}, stay_);
  }

  std::unique_ptr<Driver> new_home() const {
    const MigrationRecord& record = folder_.record();
    return driver_entry(record.to).open(new_.path() + "/" + std::string(driver_name(record.to)),
                                        record.to_home);
  }

  const MigrationFolder& folder_;
  const Dir& old_;
  const Dir& new_;
  const std::string stay_ = "restore it, then try again. `drover commit` stays with the new root";
};

}  // namespace

std::unique_ptr<Driver> old_home(const MigrationFolder& folder) {
  return driver_entry(folder.record().from)
      .open(folder.record().move->from_root + "/" + old_driver(folder), folder.record().from_home);
}

std::optional<Dir> whole_old_root(const MigrationFolder& folder) {
  auto root = open_old_root(*folder.record().move);
  auto image = root ? root->try_sub(kImage) : std::nullopt;
  if (!image || !image->try_sub(old_driver(folder)) || !root->try_sub(old_driver(folder)))
    return std::nullopt;
  return root;
}

std::vector<std::string> filled_volumes(const Dir& data_root) {
  std::vector<std::string> names;
  if (auto volumes = data_root.try_sub(kVolumes))
    for (const DirEntry& entry : volumes->list())
      if (is_filled(data_root, entry.name)) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

void require_old_root_in_force(const MigrationFolder& folder) {
  const MigrationRecord& record = folder.record();
  if (RootSwitch(folder).is_done())
    throw Error(ExitCode::in_use,
                "`" + record.config_path + "` names the new root `" + record.move->config_root +
                    "` already, which is not whole yet: an engine may have run on it",
                "name `" + record.move->from_root +
                    "` there again, save what the engine has made in the new root, then go on");
}

void require_new_root_unused(const MigrationFolder& folder) {
  const RootMove& move = *folder.record().move;
  auto new_root = Dir::try_open(move.to_root);
  RootSwitch way(folder);
  if (!new_root || !way.is_kept() || way.new_root_has_nothing_new(*new_root)) return;
  throw Error(ExitCode::in_use,
              "an engine has run on the new root `" + move.to_root + "`, but `" +
                  folder.record().config_path + "` does not name it: what was made there since would be lost",
              "name `" + move.config_root +
                  "` there again as data-root, then `drover migrate --resume` finishes the move; after that "
                  "`drover rollback` goes back all the same");
}

Dir require_whole_old_root(const MigrationFolder& folder) {
  if (auto root = whole_old_root(folder)) return std::move(*root);
  throw Error("the old root `" + folder.record().move->from_root +
                  "` is not all there: there is nothing to go back to",
              "is its filesystem mounted? `drover commit` stays with the new root, once that is switched to");
}

void require_old_root_carried(const MigrationFolder& folder) {
  const RootMove& move = *folder.record().move;
  Dir old_root = require_whole_old_root(folder);
  auto new_root = Dir::try_open(move.to_root);
  if (!new_root) return;
  if (!RootSwitch(folder).is_kept())
    throw Error("`" + folder.dir().path() + "/kept` has no configuration that named `" + move.from_root + "`",
                "restore it, then try again. `drover commit` stays with the new root");
  OldRootCheck(folder, old_root, *new_root).run();
}

}  // namespace drover
