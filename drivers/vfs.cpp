// vfs (moby daemon/graphdriver/vfs):
//
//     <home>/dir/<id>/     the complete tree of the layer; nothing is shared, nothing else is kept
//
// Where the engine copies a parent, drover shares: by reflink where the filesystem can, by hard links between
// immutable layers elsewhere. The engine never writes to an image layer in place, so both are safe.

#include "drivers/clone_tree.hpp"
#include "drivers/driver.hpp"
#include "drivers/home_folder.hpp"
#include "drivers/homes.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

class Vfs : public Driver {
 public:
  Vfs(const HomeFolder& home, RootOwner owner) : home_(home), owner_(owner) {}

  DriverKind kind() const noexcept override { return DriverKind::vfs; }
  LayerForm form() const noexcept override { return LayerForm::tree; }
  Marks marks() const noexcept override { return Marks::none; }

  std::vector<std::string_view> furniture() const override {
    return {"dir", "dir/#", "backingFsBlockDev", "fsutils-dummy*"};
  }
  std::vector<LayerId> layers() const override { return layer_ids_in(home_.try_sub("dir")); }
  bool contains(const LayerId& id) const override {
    auto home = home_.try_open();
    return home && is_layer_id(id) && home->try_walk("dir/" + id);
  }
  std::optional<Symlink> symlink_to(const LayerId& id) const override {
    return home_.find_symlink({"dir/" + id});
  }
  std::vector<LayerId> stack(const LayerId& id) const override { return {id}; }
  OpenLayer open(const LayerId& id) const override {
    require_layer_id(id);
    return {folder_in(home_.sub("dir"), id), nullptr};
  }

  void make_home() override {
    Dir home = home_.ensure(0710, 0, owner_.gid);
    ensure_folder(home, "dir", 0710, 0, owner_.gid);
  }
  OpenLayer create(const LayerId& id, const std::optional<LayerId>& parent,
                   const CreateOptions& options) override {
    require_layer_id(id);
    Dir layer = make_folder(home_.sub("dir"), id, 0755, owner_.uid, owner_.gid);
    if (parent) {
      TransferCount count = clone_tree(open(*parent).root, layer, options.share_inodes);
      if (options.count) *options.count += count;
    }
    return {std::move(layer), nullptr};
  }
  void seal(const LayerId&) override {}
  void remove(const LayerId& id) override {
    require_layer_id(id);
    if (auto dir = home_.try_sub("dir")) dir->remove_tree(id);
  }
  void remove_home() override { home_.remove(); }

 private:
  HomeFolder home_;
  RootOwner owner_;
};

}  // namespace

std::unique_ptr<Driver> open_vfs(const std::string& home, const HomeSettings& settings) {
  return std::make_unique<Vfs>(home, settings.owner);
}

}  // namespace drover
