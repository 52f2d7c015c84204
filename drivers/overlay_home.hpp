#pragma once
#include <string>

#include "drivers/driver.hpp"
#include "drivers/home_folder.hpp"

namespace drover {

/// The layout that overlay2 and fuse-overlayfs share (moby daemon/graphdriver/overlay2, .../fuse-overlayfs):
///
///     <home>/l/<26 characters>   -> ../<id>/diff     short names, so that a mount's options fit a page
///     <home>/<id>/diff/          the layer's own entries and marks
///     <home>/<id>/link           its name in l/
///     <home>/<id>/lower          "l/AAA:l/BBB", nearest first; absent for a base layer
///     <home>/<id>/work/          absent for a base layer
///     <home>/<id>/committed      made in a layer once another stands on it: it is mounted read-only from
///     then on
class OverlayHome : public Driver {
 public:
  OverlayHome(DriverKind kind, const HomeFolder& home, RootOwner owner)
      : kind_(kind), home_(home), owner_(owner) {}

  DriverKind kind() const noexcept override { return kind_; }
  LayerForm form() const noexcept override { return LayerForm::delta; }
  Marks marks() const noexcept override {
    return kind_ == DriverKind::fuse_overlayfs ? Marks::fuse_overlayfs : Marks::overlay;
  }
  std::vector<std::string_view> furniture() const override {
    return {"#", "l", "l/*", "backingFsBlockDev",
            // Trials (moby daemon/graphdriver/overlayutils, overlay2/check.go, fsutils).
            "check-overlayfs-support*", "opaque-bug-check*", "metacopy-check*", "multiple-lowerdir-check*",
            "userxattr-check*", "fsutils-dummy*"};
  }
  std::vector<LayerId> layers() const override;
  bool contains(const LayerId&) const override;
  std::optional<Symlink> symlink_to(const LayerId& id) const override;
  std::vector<LayerId> stack(const LayerId&) const override;
  OpenLayer open(const LayerId&) const override;
  bool layers_can_be_renamed() const noexcept override { return true; }
  std::optional<LayerPlace> place_in_home(const LayerId&) const override;
  std::vector<std::string> remarks(const LayerId&) const override;
  void make_home() override;
  OpenLayer create(const LayerId&, const std::optional<LayerId>& parent, const CreateOptions&) override;
  void seal(const LayerId&) override;
  void remove(const LayerId&) override;
  void remove_home() override;

 private:
  Dir layer_dir(const LayerId&) const;
  std::string lower_of(const LayerId& parent) const;

  DriverKind kind_;
  HomeFolder home_;
  RootOwner owner_;
};

}  // namespace drover
