#include "tests/conformance/engine_mounts.hpp"

#include <doctest/doctest.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>

#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/process.hpp"

namespace drover::test {

namespace {

/// A mount on a folder of its own, both gone with this.
class MountedFolder : public EngineMount {
 public:
  explicit MountedFolder(const std::string& above) : at_(above + "/mount-XXXXXX") {
    if (!::mkdtemp(at_.data())) throw_errno("cannot make `" + at_ + "`");
  }
  ~MountedFolder() override {
    root_ = Dir();
    if (mounted_) unmount(at_);
    ::rmdir(at_.c_str());
  }
  MountedFolder(const MountedFolder&) = delete;
  MountedFolder& operator=(const MountedFolder&) = delete;

  const std::string& at() const { return at_; }
  void mounted() {
    mounted_ = true;
    root_ = Dir::open(at_);
  }
  const Dir& root() const override { return root_; }

 private:
  std::string at_;
  Dir root_;
  bool mounted_ = false;
};

/// The base of a stack, which no engine mounts: it gives out the folder itself.
class OwnFolder : public EngineMount {
 public:
  explicit OwnFolder(OpenLayer layer) : layer_(std::move(layer)) {}
  const Dir& root() const override { return layer_.root; }

 private:
  OpenLayer layer_;
};

/// Makes a home the working directory for a while: 128 short names fit into a page of options, paths do not.
class InFolder {
 public:
  explicit InFolder(const std::string& folder) : back_(::open(".", O_PATH | O_CLOEXEC)) {
    if (::chdir(folder.c_str()) != 0) throw_errno("cannot enter `" + folder + "`");
  }
  ~InFolder() { REQUIRE(::fchdir(back_.get()) == 0); }
  InFolder(const InFolder&) = delete;
  InFolder& operator=(const InFolder&) = delete;

 private:
  Fd back_;
};

/// A committed layer is mounted read-only, as the lowest of the stack's folders but one.
std::string overlay_options(const std::string& home, const LayerId& id) {
  Dir layer = Dir::open(home).sub(id);
  std::string lower = layer.read("lower");
  if (layer.exists("committed")) return "lowerdir=l/" + layer.read("link") + ":" + lower;
  return "lowerdir=" + lower + ",upperdir=" + id + "/diff,workdir=" + id + "/work";
}

std::string above(const std::string& home) { return home.substr(0, home.rfind('/')); }

}  // namespace

std::unique_ptr<EngineMount> mount_overlay(const std::string& home, const Driver& driver, const LayerId& id) {
  if (driver.stack(id).size() == 1) return std::make_unique<OwnFolder>(driver.open(id));
  auto folder = std::make_unique<MountedFolder>(above(home));
  std::string options = overlay_options(home, id);
  InFolder in(home);
  if (::mount("overlay", folder->at().c_str(), "overlay", 0,
              (options + ",index=off,redirect_dir=off,metacopy=off").c_str()) != 0)
    throw_errno("cannot mount an overlay with " + options);
  folder->mounted();
  return folder;
}

std::unique_ptr<EngineMount> mount_old_overlay(const std::string& home, const Driver& driver,
                                               const LayerId& id) {
  if (driver.stack(id).size() == 1) return std::make_unique<OwnFolder>(driver.open(id));
  auto folder = std::make_unique<MountedFolder>(above(home));
  std::string layer = home + "/" + id;
  std::string options = "lowerdir=" + home + "/" + Dir::open(layer).read("lower-id") +
                        "/root,upperdir=" + layer + "/upper,workdir=" + layer +
                        "/work,index=off,redirect_dir=off,metacopy=off";
  if (::mount("overlay", folder->at().c_str(), "overlay", 0, options.c_str()) != 0)
    throw_errno("cannot mount an overlay with " + options);
  folder->mounted();
  return folder;
}

std::unique_ptr<EngineMount> mount_fuse_overlayfs(const std::string& home, const Driver& driver,
                                                  const LayerId& id) {
  if (driver.stack(id).size() == 1) return std::make_unique<OwnFolder>(driver.open(id));
  auto folder = std::make_unique<MountedFolder>(above(home));
  InFolder in(home);
  ProcessResult result = run_process({"fuse-overlayfs", "-o", overlay_options(home, id), folder->at()});
  if (result.exit_code != 0) throw Error("fuse-overlayfs cannot mount: " + result.err);
  folder->mounted();
  return folder;
}

void inspect_overlay(const std::string& home, const Driver& driver, const LayerId& id,
                     const std::optional<LayerId>& parent) {
  Dir home_dir = Dir::open(home);
  Dir layer = home_dir.sub(id);
  CHECK(layer.exists("diff"));
  CHECK(home_dir.sub("l").read_link(layer.read("link")) == "../" + id + "/diff");
  CHECK(layer.exists("lower") == parent.has_value());
  CHECK(layer.exists("work") == parent.has_value());
  if (!parent) return;
  Dir below = home_dir.sub(*parent);
  CHECK(below.exists("committed"));
  std::string lower = "l/" + below.read("link");
  if (driver.stack(*parent).size() > 1) lower += ":" + below.read("lower");
  CHECK(layer.read("lower") == lower);
}

void inspect_old_overlay(const std::string& home, const Driver&, const LayerId& id,
                         const std::optional<LayerId>&) {
  Dir home_dir = Dir::open(home);
  Dir layer = home_dir.sub(id);
  for (const char* part : {"upper", "work", "lower-id"}) CHECK(layer.exists(part) != layer.exists("root"));
  if (layer.exists("root")) return;
  CHECK(home_dir.sub(layer.read("lower-id")).exists("root"));
}

void inspect_subvolume(const std::string&, const Driver& driver, const LayerId& id,
                       const std::optional<LayerId>& parent) {
  auto info_of = [&](const LayerId& layer) {
    btrfs_ioctl_get_subvol_info_args info{};
    OpenLayer open = driver.open(layer);
    CHECK(open.root.stat().st_ino == BTRFS_FIRST_FREE_OBJECTID);
    // Some kernels give 1 for success.
    REQUIRE(::ioctl(open.root.fd(), BTRFS_IOC_GET_SUBVOL_INFO, &info) >= 0);
    return info;
  };
  btrfs_ioctl_get_subvol_info_args own = info_of(id);
  CHECK((own.flags & BTRFS_SUBVOL_RDONLY) == 0);
  constexpr unsigned char kNoParent[BTRFS_UUID_SIZE] = {};
  if (parent)
    CHECK(std::memcmp(own.parent_uuid, info_of(*parent).uuid, BTRFS_UUID_SIZE) == 0);
  else
    CHECK(std::memcmp(own.parent_uuid, kNoParent, BTRFS_UUID_SIZE) == 0);
}

}  // namespace drover::test
