// overlay, the predecessor of overlay2 (moby daemon/graphdriver/overlay):
//
//     <home>/<id>/root/       an image layer: its complete tree, whose files are hard links to its parent's
//  or <home>/<id>/upper/      everything that differs from ...
//     <home>/<id>/lower-id    ... the root of the layer with this ID
//     <home>/<id>/work/, merged/
//
// A layer with an upper stands on one root only, however many layers there are between: its upper starts as a
// copy of its parent's where that is an upper too, and so holds all changes since the root. Of this kind are
// a container's init layer and writable layer, and what BuildKit makes, images included. Where both are there
// (the engine was killed as it made the root), root counts. A root is only ever the lowest directory of an
// overlay mount, where marks mean nothing but a character device 0:0 still hides.

#include "drivers/clone_tree.hpp"
#include "drivers/driver.hpp"
#include "drivers/home_folder.hpp"
#include "drivers/homes.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr std::size_t kLongestId = 80;

class Overlay : public Driver {
 public:
  Overlay(const HomeFolder& home, RootOwner owner) : home_(home), owner_(owner) {}

  DriverKind kind() const noexcept override { return DriverKind::overlay; }
  LayerForm form() const noexcept override { return LayerForm::tree; }
  LayerForm writable_form() const noexcept override { return LayerForm::delta; }
  LayerForm form_of(const LayerId& id) const override {
    return layer_dir(id).try_sub("root") ? LayerForm::tree : LayerForm::delta;
  }
  Marks marks() const noexcept override { return Marks::overlay; }

  std::vector<std::string_view> furniture() const override {
    return {"#", "check-overlayfs-support*", "fsutils-dummy*"};
  }
  std::vector<LayerId> layers() const override { return layer_ids_in(home_.try_open()); }
  bool contains(const LayerId&) const override;
  std::optional<Symlink> symlink_to(const LayerId& id) const override {
    return home_.find_symlink({id + "/root", id + "/upper"});
  }
  std::vector<LayerId> stack(const LayerId&) const override;
  OpenLayer open(const LayerId&) const override;
  void make_home() override { home_.ensure(0710, 0, owner_.gid); }
  OpenLayer create(const LayerId&, const std::optional<LayerId>& parent, const CreateOptions&) override;
  void seal(const LayerId&) override {}
  void remove(const LayerId&) override;
  void remove_home() override { home_.remove(); }

 private:
  Dir layer_dir(const LayerId& id) const {
    require_layer_id(id);
    return home_.sub(id);
  }
  LayerId lower_of(const LayerId&) const;
  OpenLayer create_root(const Dir& layer, const std::optional<LayerId>& parent, TransferCount*);
  OpenLayer create_upper(const Dir& layer, const LayerId& parent);
  HomeFolder home_;
  RootOwner owner_;
};

bool Overlay::contains(const LayerId& id) const {
  auto home = home_.try_open();
  auto layer = home && is_layer_id(id) ? home->try_sub(id) : std::nullopt;
  if (!layer) return false;
  auto root = layer->try_stat("root");
  return root ? S_ISDIR(root->st_mode) : layer->try_sub("upper").has_value();
}

/// The layer whose root the upper of this one lies on.
LayerId Overlay::lower_of(const LayerId& id) const {
  Dir layer = layer_dir(id);
  LayerId lower = layer.read("lower-id", kLongestId);
  if (!is_layer_id(lower)) throw Error("`" + layer.path_of("lower-id") + "` is damaged: it names no layer");
  if (lower == id || form_of(lower) != LayerForm::tree)
    throw Error("`" + layer.path_of("lower-id") + "` is damaged: layer " + lower + " is no whole tree");
  return lower;
}

std::vector<LayerId> Overlay::stack(const LayerId& id) const {
  if (form_of(id) == LayerForm::tree) return {id};
  return {id, lower_of(id)};
}

OpenLayer Overlay::open(const LayerId& id) const {
  Dir layer = layer_dir(id);
  if (auto root = layer.try_sub("root")) return {std::move(*root), nullptr};
  return {folder_in(layer, "upper"), nullptr};
}

OpenLayer Overlay::create(const LayerId& id, const std::optional<LayerId>& parent,
                          const CreateOptions& options) {
  require_layer_id(id);
  Dir layer = make_folder(home_.open(), id, 0710, 0, owner_.gid);
  bool tree = !parent || (options.share_inodes && form_of(*parent) == LayerForm::tree);
  return tree ? create_root(layer, parent, options.count) : create_upper(layer, *parent);
}

OpenLayer Overlay::create_root(const Dir& layer, const std::optional<LayerId>& parent, TransferCount* count) {
  Dir root = make_folder(layer, "root", 0755, owner_.uid, owner_.gid);
  if (parent) {
    TransferCount linked = clone_tree(open(*parent).root, root, true);
    if (count) *count += linked;
  }
  return {std::move(root), nullptr};
}

OpenLayer Overlay::create_upper(const Dir& layer, const LayerId& parent) {
  LayerId lower = stack(parent).back();
  make_folder(layer, "work", 0700, owner_.uid, owner_.gid);
  layer.write_new("lower-id", lower, 0600);
  return {make_folder(layer, "upper", 0755, owner_.uid, owner_.gid), nullptr};
}

void Overlay::remove(const LayerId& id) {
  auto home = home_.try_open();
  if (home && is_layer_id(id)) home->remove_tree(id);
}

}  // namespace

std::unique_ptr<Driver> open_overlay(const std::string& home, const HomeSettings& settings) {
  return std::make_unique<Overlay>(home, settings.owner);
}

}  // namespace drover
