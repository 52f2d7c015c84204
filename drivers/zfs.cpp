// zfs (moby daemon/graphdriver/zfs):
//
//     <parent>/<id>       one filesystem a layer (mountpoint=legacy), a clone of its parent's; its size
//                         limit is its `quota`
//     <home>/graph/<id>   where the engine mounts it while it is in use; empty otherwise
//
// <parent> is what zfs.fsname names, else the filesystem that the data root lies on. A layer's parent is not
// recorded, only Docker's own records know it.
//
// Ours, while a home is not the one in use (datasets.json in it, see ZfsRecord):
//
//     <parent>/drover-<digits>/<id>   layers that are being made; renamed when they are settled
//
// The parent may hold layers of another data root (the engine's own and the one of its userns-remap, say),
// and whatever else the admin keeps there. So nothing is destroyed that the home's record does not name.
// Layers are read and written through mounts that no other process sees.

#include <algorithm>
#include <mutex>
#include <set>

#include "drivers/driver.hpp"
#include "drivers/home_folder.hpp"
#include "drivers/homes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/zfs_command.hpp"
#include "drivers/zfs_parent.hpp"
#include "drivers/zfs_record.hpp"

namespace drover {

namespace {

using Layers = std::map<LayerId, ZfsFilesystem>;

Layers layers_below(const std::string& parent) {
  Layers layers;
  for (ZfsFilesystem& filesystem : zfs_children(parent).value_or(std::vector<ZfsFilesystem>())) {
    LayerId id(filesystem.base());
    if (is_layer_id(id)) layers.emplace(std::move(id), std::move(filesystem));
  }
  return layers;
}

bool is_clone_of(const ZfsFilesystem& clone, const ZfsFilesystem& of) {
  return clone.origin.starts_with(of.name + "@");
}

/// Destroys filesystems, each after those of them that are its clones.
void destroy_all(Layers layers) {
  while (!layers.empty()) {
    auto leaf = std::find_if(layers.begin(), layers.end(), [&](const auto& candidate) {
      return std::none_of(layers.begin(), layers.end(),
                          [&](const auto& other) { return is_clone_of(other.second, candidate.second); });
    });
    if (leaf == layers.end()) throw Error("zfs lists filesystems that are clones of each other in a circle");
    try {
      zfs_destroy(leaf->second.name);
    } catch (const Error& e) {
      if (!e.hint().empty()) throw;
      throw Error(
          e.what(),
          "has it a clone elsewhere (zfs list -o name,origin)? `zfs promote CLONE` sets that free. Is it "
          "mounted? Then try again later");
    }
    layers.erase(leaf);
  }
}

/// The filesystem that layers were made in, empty by now but for snapshots: of others, who make one of
/// everything.
void destroy_work(const ZfsRecord& record) {
  if (zfs_exists(record.work_name())) zfs_destroy(record.work_name());
}

class Zfs : public Driver {
 public:
  Zfs(const HomeFolder& home, HomeSettings settings) : home_(home), settings_(std::move(settings)) {}

  DriverKind kind() const noexcept override { return DriverKind::zfs; }
  LayerForm form() const noexcept override { return LayerForm::tree; }
  Marks marks() const noexcept override { return Marks::none; }
  bool layers_are_volumes() const noexcept override { return true; }
  bool layers_outside() const noexcept override { return true; }
  std::optional<Space> space() const override;
  std::map<LayerId, std::vector<std::string>> own_settings() const override;

  std::vector<std::string_view> furniture() const override { return {"graph", "graph/*"}; }
  std::vector<std::string_view> own_files() const override { return {ZfsRecord::kFile}; }
  std::vector<LayerId> layers() const override {
    std::lock_guard lock(mutex_);
    std::vector<LayerId> ids;
    for (const auto& [id, filesystem] : known()) ids.push_back(id);
    return ids;
  }
  bool contains(const LayerId& id) const override {
    std::lock_guard lock(mutex_);
    return known().contains(id);
  }
  std::vector<LayerId> stack(const LayerId& id) const override { return {id}; }
  OpenLayer open(const LayerId& id) const override {
    ZfsFilesystem filesystem = require(id);
    return mount(filesystem, !is_in_the_making(filesystem));
  }
  std::string place_of(const LayerId& id) const override { return "zfs filesystem " + require(id).name; }

  void make_home() override;
  OpenLayer create(const LayerId&, const std::optional<LayerId>& parent, const CreateOptions&) override;
  /// What a mount has written is on disk once the mount is gone, or after this.
  void seal(const LayerId& id) override { mount(require(id), false).root.sync_fs(); }
  void remove(const LayerId&) override;
  void remove_home() override;
  std::string outside() const override;
  std::optional<Error> removal_blocker() const override;

  bool limits_size() const noexcept override { return true; }
  std::optional<std::string> limit_size(const LayerId&, std::uint64_t bytes) override;
  void settle() override;
  void claim(const std::vector<LayerId>&) override;
  void release() override;

 private:
  std::string parent() const;
  Layers& known() const;  // mutex_ must be held
  ZfsFilesystem require(const LayerId&) const;
  /// Whether it has a name of ours: no engine knows it yet.
  bool is_in_the_making(const ZfsFilesystem& filesystem) const {
    auto record = ZfsRecord::read(home_);
    return record && !record->work.empty() && filesystem.name.starts_with(record->work_name() + "/");
  }
  static OpenLayer mount(const ZfsFilesystem&, bool read_only);

  HomeFolder home_;
  HomeSettings settings_;
  mutable std::mutex mutex_;
  mutable std::optional<Layers> layers_;  // what zfs listed, kept up to date
};

std::string Zfs::parent() const {
  auto found = find_zfs_parent(home_.above().path(), settings_.storage_opts);
  if (!found)
    throw Error(
        "`" + home_.above().path() + "` is not on zfs, and no filesystem of zfs is named for the layers",
        "name it: --storage-opt zfs.fsname=POOL/NAME");
  return *found;
}

Layers& Zfs::known() const {
  if (layers_) return *layers_;
  auto record = ZfsRecord::read(home_);
  Layers found = layers_below(record ? record->parent : parent());
  if (record) {
    std::erase_if(found, [&](const auto& layer) {
      auto own = record->layers.find(layer.first);
      return own == record->layers.end() || own->second != layer.second.guid;
    });
    if (!record->work.empty()) found.merge(layers_below(record->work_name()));
  }
  layers_ = std::move(found);
  return *layers_;
}

ZfsFilesystem Zfs::require(const LayerId& id) const {
  require_layer_id(id);
  std::lock_guard lock(mutex_);
  auto found = known().find(id);
  if (found == known().end()) throw Error("there is no zfs filesystem of layer " + id);
  return found->second;
}

OpenLayer Zfs::mount(const ZfsFilesystem& filesystem, bool read_only) {
  if (filesystem.shows_snapshots)
    throw Error("the zfs filesystem `" + filesystem.name + "` shows its snapshots as files",
                "hide them: zfs set snapdir=hidden " + filesystem.name.substr(0, filesystem.name.find('/')));
  auto mount_with = [&](const std::vector<std::string>& options) -> OpenLayer {
    return {Dir(mount_detached("zfs", filesystem.name, options, read_only, "`" + filesystem.name + "`"),
                filesystem.name),
            nullptr};
  };
  // The filesystem for writing, where that is possible: an engine that mounts it beside us would be refused
  // else.
  try {
    return mount_with({});
  } catch (const SystemError& e) {
    if (!read_only || (e.number() != EROFS && e.number() != EACCES)) throw;
  }
  return mount_with({"ro"});
}

std::optional<Space> Zfs::space() const {
  std::string where = parent();
  return Space{"the zfs filesystem `" + where + "`", zfs_available(where)};
}

std::map<LayerId, std::vector<std::string>> Zfs::own_settings() const {
  std::map<LayerId, std::vector<std::string>> found;
  std::lock_guard lock(mutex_);
  for (const ZfsSetting& setting : zfs_own_settings(parent())) {
    LayerId id = setting.filesystem.substr(setting.filesystem.rfind('/') + 1);
    // These are the engine's: its records know them, too.
    if (setting.property == "mountpoint" || setting.property == "quota" || !known().contains(id)) continue;
    found[id].push_back(printable(setting.property + "=" + setting.value));
  }
  return found;
}

void Zfs::make_home() {
  std::lock_guard lock(mutex_);
  Dir home = home_.ensure(0710, 0, settings_.owner.gid);
  ensure_folder(home, "graph", 0755, settings_.owner.uid, settings_.owner.gid);
  auto record = ZfsRecord::read(home_);
  if (!record) record = ZfsRecord{parent(), "", {}};
  if (record->work.empty()) {  // new, or settled once already by a switch that was given up
    record->work = new_zfs_work_name();
    record->write(home);
    layers_.reset();
  }
  // The third is known to what makes snapshots by the clock.
  if (!zfs_exists(record->work_name()))
    zfs_create(record->work_name(),
               {{"mountpoint", "none"}, {"canmount", "off"}, {"com.sun:auto-snapshot", "false"}});
  zfs_defer_snapshots(record->work_name());
}

OpenLayer Zfs::create(const LayerId& id, const std::optional<LayerId>& parent, const CreateOptions&) {
  require_layer_id(id);
  auto record = ZfsRecord::read(home_);
  if (!record || record->work.empty())
    throw Error("`" + home_.path_of("") + "` is no home that layers can be made in");
  std::string name = record->work_name() + "/" + id;
  if (parent)
    zfs_clone(require(*parent).name, name, {{"mountpoint", "legacy"}});
  else
    zfs_create(name, {{"mountpoint", "legacy"}});
  ZfsFilesystem made{name, {}, {}};
  {
    std::lock_guard lock(mutex_);
    if (parent) made.origin = known().at(*parent).name + "@";
    known().insert_or_assign(id, made);
  }
  OpenLayer layer = mount(made, false);
  if (!parent) set_owner_and_mode(layer.root, 0755, settings_.owner.uid, settings_.owner.gid);
  return layer;
}

void Zfs::remove(const LayerId& id) {
  require_layer_id(id);
  std::lock_guard lock(mutex_);
  // What stands on it cannot stay.
  Layers gone;
  std::vector<LayerId> next{id};
  while (!next.empty()) {
    auto found = known().find(next.back());
    next.pop_back();
    if (found == known().end() || !gone.insert(*found).second) continue;
    for (const auto& [other, clone] : known())
      if (is_clone_of(clone, found->second)) next.push_back(other);
  }
  destroy_all(gone);
  for (const auto& [other, filesystem] : gone) known().erase(other);
}

void Zfs::remove_home() {
  std::lock_guard lock(mutex_);
  if (auto record = ZfsRecord::read(home_)) {
    if (!record->layers.empty() && !zfs_exists(record->parent))
      throw Error(
          "the zfs filesystem `" + record->parent + "`, which holds layers of `" + home_.path_of("") +
              "`, is not there",
          "import its pool under that name (zpool import), or give the filesystem that name again (zfs "
          "rename); if it is gone for good, remove `" +
              home_.path_of(ZfsRecord::kFile) + "`");
    destroy_all(known());
    if (!record->work.empty()) destroy_work(*record);
  }
  layers_.reset();
  home_.remove();
}

std::string Zfs::outside() const {
  // Before the switch it is not known which of those below the parent are the home's.
  auto record = ZfsRecord::read(home_);
  return record ? std::to_string(layers().size()) + " filesystems below `" + record->parent + "`" : "";
}

/// An admin's clone of a layer, or what somebody has made below one.
std::optional<Error> Zfs::removal_blocker() const {
  std::lock_guard lock(mutex_);
  auto record = ZfsRecord::read(home_);
  if (!record || record->layers.empty() || !zfs_exists(record->parent)) return std::nullopt;
  auto mine = [&](const std::string& name) {
    auto found = known().find(name.substr(name.rfind('/') + 1));
    return found != known().end() && found->second.name == name;
  };
  for (const ZfsFilesystem& one : zfs_all_in(record->parent.substr(0, record->parent.find('/')))) {
    if (mine(one.name)) continue;
    std::string origin = one.origin.substr(0, one.origin.find('@'));
    if (!origin.empty() && mine(origin))
      return Error("the zfs filesystem `" + one.name + "` is a clone of the layer `" + origin +
                       "`, which cannot be deleted before it",
                   "`zfs promote '" + one.name + "'` sets it free, or destroy it; then try again");
    if (std::string above = one.name.substr(0, one.name.rfind('/')); mine(above))
      return Error("`" + one.name + "` lies below the layer `" + above + "`, and is not the engine's",
                   "move it elsewhere: zfs rename '" + one.name + "' POOL/NAME; then try again");
  }
  return std::nullopt;
}

std::optional<std::string> Zfs::limit_size(const LayerId& id, std::uint64_t bytes) {
  std::string name = require(id).name;
  try {
    zfs_set(name, "quota", std::to_string(bytes));
    return std::nullopt;
  } catch (const Error& e) {
    if (!zfs_exists(name)) throw;
    return e.what();
  }
}

void Zfs::settle() {
  std::lock_guard lock(mutex_);
  auto record = ZfsRecord::read(home_);
  if (!record || record->work.empty()) return;
  Dir home = home_.open();
  Layers staged = layers_below(record->work_name());
  for (const auto& [id, filesystem] : staged) record->layers.insert_or_assign(id, filesystem.guid);
  record->write(home);
  for (const auto& [id, filesystem] : staged) zfs_rename(filesystem.name, record->parent + "/" + id);
  destroy_work(*record);
  record->work.clear();
  record->write(home);
  layers_.reset();
}

void Zfs::claim(const std::vector<LayerId>& ids) {
  std::lock_guard lock(mutex_);
  auto home = home_.try_open();
  if (!home) return;
  auto record = ZfsRecord::read(home_);
  if (record && !record->work.empty()) return;  // it was never in use: nothing but what it has is its own
  if (!record) record = ZfsRecord{parent(), "", {}};
  Layers there = layers_below(record->parent);
  std::vector<LayerId> next = ids;
  std::set<LayerId> seen;
  while (!next.empty()) {
    LayerId id = std::move(next.back());
    next.pop_back();
    auto found = there.find(id);
    if (found == there.end() || !seen.insert(id).second) continue;
    record->layers.insert_or_assign(id, found->second.guid);
    for (const auto& [other, clone] : there)
      if (is_clone_of(clone, found->second)) next.push_back(other);
  }
  record->write(*home);
  layers_.reset();
}

void Zfs::release() {
  std::lock_guard lock(mutex_);
  if (auto home = home_.try_open()) ZfsRecord::remove(*home);
  layers_.reset();
}

}  // namespace

std::unique_ptr<Driver> open_zfs(const std::string& home, const HomeSettings& settings) {
  return std::make_unique<Zfs>(home, settings);
}

}  // namespace drover
