// btrfs (moby daemon/graphdriver/btrfs):
//
//     <home>/subvolumes/<id>/     one writable subvolume a layer, a snapshot of its parent's
//     <home>/quotas/<id>          a size limit in bytes, where one was asked for
//
// A layer's parent is not recorded, only Docker's own records know it. Snapshots do not include subvolumes
// nested in them; such a subvolume in a container reads as the plain directory that it looks like.

#include "drivers/driver.hpp"
#include "drivers/home_folder.hpp"
#include "drivers/homes.hpp"
#include "drivers/sys/btrfs_ioctl.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

class Btrfs : public Driver {
 public:
  Btrfs(const HomeFolder& home, RootOwner owner) : home_(home), owner_(owner) {}

  DriverKind kind() const noexcept override { return DriverKind::btrfs; }
  LayerForm form() const noexcept override { return LayerForm::tree; }
  Marks marks() const noexcept override { return Marks::none; }
  bool layers_are_volumes() const noexcept override { return true; }

  std::vector<std::string_view> furniture() const override {
    return {"subvolumes", "subvolumes/#", "quotas", "quotas/*"};
  }
  std::vector<LayerId> layers() const override { return layer_ids_in(home_.try_sub("subvolumes")); }
  bool contains(const LayerId& id) const override {
    auto home = home_.try_open();
    return home && is_layer_id(id) && home->try_walk("subvolumes/" + id);
  }
  std::optional<Symlink> symlink_to(const LayerId& id) const override {
    return home_.find_symlink({"subvolumes/" + id});
  }
  std::vector<LayerId> stack(const LayerId& id) const override { return {id}; }
  OpenLayer open(const LayerId& id) const override {
    require_layer_id(id);
    return {folder_in(home_.sub("subvolumes"), id), nullptr};
  }

  void make_home() override {
    Dir home = home_.ensure(0710, 0, owner_.gid);
    ensure_folder(home, "subvolumes", 0710, 0, owner_.gid);
  }
  OpenLayer create(const LayerId& id, const std::optional<LayerId>& parent, const CreateOptions&) override {
    require_layer_id(id);
    Dir subvolumes = home_.sub("subvolumes");
    if (parent) {
      create_snapshot(open(*parent).root, subvolumes, id);
      return {subvolumes.sub(id), nullptr};
    }
    create_subvolume(subvolumes, id);
    Dir layer = subvolumes.sub(id);
    set_owner_and_mode(layer, 0755, owner_.uid, owner_.gid);
    return {std::move(layer), nullptr};
  }
  void seal(const LayerId&) override {}
  void remove(const LayerId& id) override {
    require_layer_id(id);
    auto home = home_.try_open();
    if (!home) return;
    // A subvolume goes in one call, unless it holds others.
    for (const char* name : {"subvolumes", "quotas"})
      if (auto folder = home->try_sub(name)) folder->remove_tree(id);
  }
  void remove_home() override {
    for (const LayerId& id : layers()) remove(id);
    home_.remove();
  }

 private:
  HomeFolder home_;
  RootOwner owner_;
};

}  // namespace

std::unique_ptr<Driver> open_btrfs(const std::string& home, const HomeSettings& settings) {
  return std::make_unique<Btrfs>(home, settings.owner);
}

}  // namespace drover
