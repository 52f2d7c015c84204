#include "migrate/switch.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/commit_check.hpp"
#include "migrate/left_behind_record.hpp"
#include "migrate/record_list.hpp"
#include "migrate/removed_since.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

constexpr const char* kHome = "home";
constexpr const char* kPreviousHome = "previous-home";
constexpr const char* kPreviousImage = "previous-image";
// What both setups have under one name. A twin is in the migration's folder as long as it is not in force,
// and the old one in `kept/` as long as the twin is: the names alone tell how far the switch is, in a copy of
// the data root, too.
constexpr const char* kTwins[] = {kContainers, kBuildRecords};

std::set<LayerId> named_by(const Dir& records) {
  return store::layers_named_by(store::read_layerdb(records));
}

void rename_durably(const Dir& from, const std::string& name, const Dir& to, const std::string& as) {
  from.rename(name, to, as, RENAME_NOREPLACE);
  to.sync();
  from.sync();
}

}  // namespace

Switch::Switch(const Dir& data_root, MigrationFolder& folder)
    : root_(data_root),
      folder_(folder),
      image_(data_root.sub(kImage)),
      kept_(folder.kept()),
      from_(driver_name(folder.record().from)),
      to_(driver_name(folder.record().to)),
      config_(kept_, folder.record().config_path, folder.record().from, folder.record().to,
              folder.record().storage_opts),
      renames_(folder.dir()) {}

void Switch::prepare() {
  config_.keep();
  write_records_inode(kept_, folder_.dir().sub(kImage));
  write_record_list(kept_, image_.sub(from_), root_.try_sub(kContainers));
  folder_.journal().reserve();
  folder_.dir().sync();
}

void Switch::forward() {
  const Dir& folder = folder_.dir();
  config_.hold();
  if (folder_.record().renames && folder.exists(kHome)) {
    renames_.forward(*source_at(root_.path_of(from_)), *target_at(folder_.home_path()));
    step("the layers are in the new home");
  }
  put_in_place(folder, kImage, image_, to_, kPreviousImage);
  if (folder.exists(kHome)) settle_target();
  put_in_place(folder, kHome, root_, to_, kPreviousHome);
  target_at(root_.path_of(to_))->release();
  for (const char* twin : kTwins) put_in_place(folder, twin, root_, twin, twin);
  config_.set_new();
  step("the configuration names " + to_);
  put_aside(root_, from_, kHome);
  // The records say which layers are the home's, until they are put aside themselves.
  if (image_.exists(from_)) claim_layers(*source_at(folder_.kept_home_path()));
  put_aside(image_, from_, kImage);
}

bool Switch::is_untouched() const {
  const Dir& folder = folder_.dir();
  for (const char* twin : kTwins)
    if (!folder.exists(twin) || kept_.exists(twin)) return false;
  if (!folder.exists(kImage) || !folder.exists(kHome) || config_.is_held()) return false;
  return !folder_.record().renames || !renames_.begun(*source_anywhere(), *target_anywhere());
}

MigrationState Switch::state_on_disk() const {
  bool begun = config_.is_held();
  for (const char* name : {kHome, kImage, kContainers, kBuildRecords, kPreviousHome, kPreviousImage})
    begun = begun || kept_.exists(name);
  if (!begun && folder_.record().renames) begun = renames_.begun(*source_anywhere(), *target_anywhere());
  if (!begun) return MigrationState::staging;
  bool ended = is_all_new() && kept_.exists(kHome) && kept_.exists(kImage) && !config_.is_held() &&
               config_.names_target();
  return ended ? MigrationState::switched : MigrationState::switching;
}

void Switch::require_way_forward() const {
  bool all_new = std::none_of(std::begin(kTwins), std::end(kTwins),
                              [&](const char* twin) { return folder_.dir().exists(twin); });
  if (!config_.is_held() && !(all_new && config_.names_target()))
    throw Error(
        ExitCode::in_use,
        "the switch was interrupted, and its hold on the engine's configuration was taken away since: "
        "an engine may have run on the old data",
        "`drover rollback` keeps what that engine has done; then migrate again");
}

bool Switch::is_all_new() const {
  for (const char* staged : {kImage, kHome, kContainers, kBuildRecords})
    if (folder_.dir().exists(staged)) return false;
  return true;
}

void Switch::look_back() {
  // Where that does not hold, no engine was started since the layers were renamed, or all are back already.
  if (folder_.record().renames && is_all_new() && !config_.is_held())
    renames_.look_back(*source_anywhere(), *target_anywhere());
}

void Switch::require_way_back() const {
  auto require_absent = [&](const char* kept, const Dir& in) {
    if (kept_.exists(kept) && in.exists(from_))
      throw Error("`" + in.path_of(from_) + "` has come into being since the switch, and is in the way",
                  "was an engine started with " + from_ + "? Move it elsewhere, then try again");
  };
  require_absent(kHome, root_);
  require_absent(kImage, image_);
  require_old_whole();
  if (folder_.record().renames) require_renamed_there();
  for (const char* twin : kTwins)
    if (folder_.dir().exists(twin)) require_free(root_, twin, twin);
  // An empty store that was put aside comes back to where nothing is.
  if (folder_.dir().exists(kHome)) require_free(root_, to_, kPreviousHome);
  if (folder_.dir().exists(kImage)) require_free(image_, to_, kPreviousImage);
}

/// What goes back must be there: the new data, which is the only copy then, is about to be given up.
void Switch::require_old_whole() const {
  const std::string only_copy =
      folder_.state() == MigrationState::switched
          ? "nothing was changed: the new data is the only copy; `drover commit` keeps it"
          : "was it moved, or put into lost+found by a repair? Restore it, then try again";
  auto require = [&](bool there, const std::string& what) {
    if (!there) throw Error("the old data is not whole: " + what + " is missing", only_copy);
  };
  require(config_.is_kept(), "`" + kept_.path_of("config") + "`");
  require(kept_.exists(kHome) || root_.exists(from_), "`" + kept_.path_of(kHome) + "`");
  require(kept_.exists(kImage) || image_.exists(from_), "`" + kept_.path_of(kImage) + "`");
  if (auto lost = kept_.exists(kImage) ? lost_record(kept_, kept_.sub(kImage), kept_.try_sub(kContainers))
                                       : std::nullopt)
    throw Error("the old data is not whole: " + *lost,
                only_copy + "; to go back without it, remove `" + kept_.path_of(kRecordList) + "`");
  Dir records = kept_.exists(kImage) ? kept_.sub(kImage) : image_.sub(from_);
  store::LayerDb old = store::read_layerdb(records);
  bool had_containers =
      std::any_of(old.mounts.begin(), old.mounts.end(), [](const auto& m) { return is_digest(m.first); });
  bool in_force = folder_.dir().exists(kContainers) && root_.exists(kContainers);
  require(!had_containers || in_force || kept_.exists(kContainers), "`" + kept_.path_of(kContainers) + "`");
  // What was damaged before was never finished; what an engine has removed since no record names; what was
  // renamed is looked for in both homes.
  auto home = source_anywhere();
  auto require_layer = [&](const LayerId& id) {
    if (folder_.finished_layers().contains(id) && !renames_.is_staged(id))
      require(home->contains(id), "layer " + short_id(id) + " in the home of " + from_);
  };
  for (const auto& [chain, layer] : old.layers) require_layer(layer.cache_id);
  for (const auto& [name, mount] : old.mounts)
    for (const LayerId& id : files_of(mount)) require_layer(id);
  // What was renamed is in the new home alone, and what stands on it cannot be looked at in the old one.
  auto now = folder_.dir().exists(kImage) ? folder_.dir().try_sub(kImage) : image_.try_sub(to_);
  if (now && !folder_.record().renames)
    require_shown_still({records, *home}, {*now, *target_anywhere()}, only_copy);
}

Dir Switch::new_records() const {
  if (folder_.dir().exists(kImage)) return folder_.dir().sub(kImage);
  if (auto records = image_.try_sub(to_)) return std::move(*records);
  throw Error("`" + image_.path_of(to_) + "` is missing",
              "was it moved? Restore it, and the home of " + to_ + " with it, then try again");
}

/// An engine that finds neither home nor records makes new ones, which name nothing; that is no removal. In a
/// copy of the data root nothing tells them from the records that were put in place but what else is there.
void Switch::require_records_put_here(const std::set<LayerId>& lost) const {
  Dir records = new_records();
  if (were_put_in_place(kept_, records) == true) return;
  auto refuse = [&](const std::string& what) {
    throw Error("the layers of " + what + " are neither in the home of " + to_ + " nor in that of " + from_,
                "were home and records moved, and made anew by an engine? Put `" + root_.path_of(to_) +
                    "` and `" + records.path() +
                    "` back as they were, then try again. If all was removed with the engine, there is "
                    "nothing to go back to: `drover commit`");
  };
  if (lost.size() == renames_.count()) refuse("all that was renamed");
  // What removes a container removes this, too.
  store::LayerDb old = store::read_layerdb(kept_.exists(kImage) ? kept_.sub(kImage) : image_.sub(from_));
  store::LayerDb now = store::read_layerdb(records);
  auto containers = root_.try_sub(kContainers);
  for (const auto& [name, mount] : old.mounts)
    if (lost.contains(mount.mount_id) && !now.mounts.contains(name) &&
        !now.files_of_damaged_mounts.contains(name) && containers && containers->exists(name))
      refuse("container " + short_id(name));
}

/// An engine that removes a layer takes it out of its records, at the latest when it starts the next time;
/// and where none can have run on the new home, none has removed any.
std::set<LayerId> Switch::removed_with_engine() const {
  if (!renames_.looked_back()) return {};
  std::set<LayerId> gone = renames_.gone(*source_anywhere(), *target_anywhere());
  if (!gone.empty())
    for (const LayerId& id : named_by(new_records())) gone.erase(id);
  return gone;
}

/// What the records name that are in force, and has no place, is lost or out of sight; and what needs it
/// would be taken for removed.
void Switch::require_renamed_there() const {
  auto old_home = source_anywhere(), new_home = target_anywhere();
  renames_.require_way_back(*old_home, *new_home);
  const bool switched = folder_.state() == MigrationState::switched;
  std::set<LayerId> unplaced = renames_.without_place(*old_home, *new_home);
  if (!unplaced.empty())
    for (const LayerId& id : named_by(kept_.exists(kImage) ? kept_.sub(kImage) : image_.sub(from_)))
      if (unplaced.contains(id))
        throw Error("the place of layer " + short_id(id) + " in the home of " + from_ +
                        " is missing, though the records of " + from_ + " name it",
                    "was it moved, or put into lost+found by a repair? Restore it, then try again");
  // The layers are back before any of what is staged is taken back.
  bool may_have_run = is_all_new() && (renames_.looked_back() || !config_.is_held());
  if (!may_have_run) return;
  std::set<LayerId> lost = renames_.gone(*old_home, *new_home);
  if (lost.empty()) return;
  require_records_put_here(lost);
  if (folder_.record().keep_going) require_left_behind(folder_.dir());
  for (const LayerId& id : named_by(new_records())) {
    if (!lost.contains(id)) continue;
    std::string what = "layer " + short_id(id) + " is neither in the home of " + to_ + " nor in that of " +
                       from_ + ", though the records of " + to_ + " name it";
    if (switched)
      throw Error(what,
                  "is the home's disk not mounted, or was the layer moved? Restore it, then try again. If "
                  "it is lost, start the engine (it ends removals that were cut), remove what uses the "
                  "layer, and stop it. Nothing was changed");
    auto place = old_home->place_in_home(id);
    throw Error(what, "restore it, then try again" +
                          (place ? "; to go back without what it had, make an empty directory `" +
                                       place->holder.path_of(place->name) + "`"
                                 : std::string()));
  }
}

void Switch::backward() {
  require_way_back();
  const Dir& folder = folder_.dir();
  config_.hold();
  restore(kImage, image_, from_);
  if (kept_.exists(kHome)) source_at(folder_.kept_home_path())->release();
  restore(kHome, root_, from_);
  if (folder_.record().renames) {
    auto old_home = source_anywhere(), new_home = target_anywhere();
    // An engine came up on the old home, and has removed them; no record names them.
    for (const LayerId& id : renames_.without_place(*old_home, *new_home)) renames_.drop(id);
    renames_.back(*old_home, *new_home);
    step("the layers are in the old home");
    std::set<LayerId> removed = removed_with_engine(), gone = renames_.gone(*old_home, *new_home);
    for (const LayerId& id : named_by(image_.sub(from_)))
      if (gone.contains(id) && !removed.contains(id))
        log_warning("layer " + short_id(id) +
                    " is in neither home, and what needs it is damaged (drover verify)");
  }
  keep_containers_made_meanwhile();
  for (const char* twin : kTwins) {
    // Where the new one is lost, the old one must not be taken for it after a cut.
    if (!folder.exists(twin) && !root_.exists(twin)) folder.make_dir(twin, 0700);
    take_back(root_, twin, folder, twin, twin);
  }
  if (folder_.record().renames) leave_out_removed(root_, folder_, *source_anywhere(), removed_with_engine());
  config_.set_old();
  step("the configuration names " + from_);
  take_back(root_, to_, folder, kHome, kPreviousHome);
  if (!folder.exists(kImage)) claim_layers(*target_at(folder_.home_path()));
  take_back(image_, to_, folder, kImage, kPreviousImage);
}

/// Somebody has taken the hold away, and an engine came up with the old driver on the new `containers/`: what
/// it has made there has its layers in the old home. Where nobody has, no container of the old driver is
/// there but those that the old `containers/` has, too. Those of a third driver, which the engine was set to
/// for a while, have theirs in a home that no switch concerns.
void Switch::keep_containers_made_meanwhile() {
  if (!kept_.exists(kContainers)) return;
  Dir old = kept_.sub(kContainers);
  for (const auto& [id, container] : store::read_containers(root_).containers) {
    if (container.record.driver == to_ || old.exists(id)) continue;
    rename_durably(root_.sub(kContainers), id, old, id);
    step("container " + display_name(container.record) + " goes back with the others");
  }
}

/// What is staged goes into place; an empty store that is there already is put aside first. Where nothing is
/// staged any more it is in place.
void Switch::put_in_place(const Dir& from, const std::string& name, const Dir& to, const std::string& as,
                          const std::string& previous) {
  if (!from.exists(name)) return;
  require_free(to, as, previous);
  if (to.exists(as)) rename_durably(to, as, kept_, previous);
  rename_durably(from, name, to, as);
  step("`" + to.path_of(as) + "` is in place");
}

/// What was in the way is put aside already, and something has come into its place since.
void Switch::require_free(const Dir& in, const std::string& name, const std::string& kept) const {
  if (in.exists(name) && kept_.exists(kept))
    throw Error("`" + in.path_of(name) + "` has come into being during the switch, and is in the way",
                "was an engine started? Move it elsewhere, then try again");
}

void Switch::take_back(const Dir& from, const std::string& name, const Dir& to, const std::string& as,
                       const std::string& previous) {
  if (!to.exists(as) && from.exists(name)) {
    rename_durably(from, name, to, as);
    step("`" + from.path_of(name) + "` is taken back");
  }
  if (kept_.exists(previous)) rename_durably(kept_, previous, from, name);
}

void Switch::put_aside(const Dir& from, const std::string& name, const std::string& as) {
  if (kept_.exists(as) || !from.exists(name)) return;
  rename_durably(from, name, kept_, as);
  step("`" + from.path_of(name) + "` is put aside");
}

void Switch::restore(const std::string& kept, const Dir& to, const std::string& name) {
  if (!kept_.exists(kept)) return;
  rename_durably(kept_, kept, to, name);
  step("`" + to.path_of(name) + "` is restored");
}

std::unique_ptr<Driver> Switch::target_at(const std::string& home) const {
  return driver_entry(folder_.record().to).open(home, folder_.record().to_home);
}

std::unique_ptr<Driver> Switch::source_at(const std::string& home) const {
  return driver_entry(folder_.record().from).open(home, folder_.record().from_home);
}

/// The new home, staged or in place; and the old one, in place or put aside.
std::unique_ptr<Driver> Switch::target_anywhere() const {
  return target_at(folder_.dir().exists(kHome) ? folder_.home_path() : root_.path_of(to_));
}
std::unique_ptr<Driver> Switch::source_anywhere() const {
  return source_at(kept_.exists(kHome) ? folder_.kept_home_path() : root_.path_of(from_));
}

void Switch::settle_target() {
  auto home = target_at(folder_.home_path());
  home->settle();
  if (home->layers_outside()) step("the layers have the names that the engine knows");
}

/// What was carried over or left behind, and what the engine's records name besides: made since the switch,
/// say.
void Switch::claim_layers(Driver& home) {
  if (!home.layers_outside()) return;
  std::set<LayerId> own = Journal::read(folder_.dir()).finished_layers;
  // Of what was left behind the target has none: one of its name would be another data root's.
  if (auto left = home.kind() == folder_.record().from ? read_left_behind(folder_.dir()) : std::nullopt)
    for (const auto& [part, what] : *left) own.insert(what.files.begin(), what.files.end());
  Inventory there = read_inventory(root_, home.kind(), nullptr);
  for (const auto& [chain, layer] : there.layers) own.insert(layer.cache_id);
  for (const auto& [name, mount] : there.mounts) {
    own.insert(mount.mount_id);
    if (mount.init_id) own.insert(*mount.init_id);
  }
  home.claim({own.begin(), own.end()});
  step("the home knows its layers");
}

void Switch::step(const std::string& what) {
  folder_.journal().step(what);
  log_detail(what);
}

}  // namespace drover
