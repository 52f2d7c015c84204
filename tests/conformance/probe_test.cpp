// Each driver's probe on real filesystems: its answer, and that nothing is left behind. Needs root.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <unistd.h>

#include "drivers/driver.hpp"
#include "drivers/probe_backing.hpp"
#include "drivers/probe_scratch.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "tests/conformance/place.hpp"

using namespace drover;
using test::TestPlace;

namespace {

Probe::Usable level(const char* driver, const std::string& place) {
  auto entries_before = Dir::open(place).list().size();
  auto mounts_before = read_mounts().size();
  Probe probe = find_driver(driver)->probe(place);
  CAPTURE(probe.reason);
  CAPTURE(probe.evidence);
  CAPTURE(std::string(driver));
  CHECK_FALSE(probe.evidence.empty());
  CHECK(probe.reason.empty() == (probe.usable == Probe::Usable::yes));
  if (probe.usable == Probe::Usable::no) CHECK_FALSE(probe.fix.empty());
  CHECK(Dir::open(place).list().size() == entries_before);
  CHECK(read_mounts().size() == mounts_before);
  return probe.usable;
}

constexpr auto kYes = Probe::Usable::yes, kLimits = Probe::Usable::with_limits, kNo = Probe::Usable::no;

}  // namespace

TEST_CASE("probes on ext4") {
  TestPlace place({"mkfs.ext4", "-q"});
  REQUIRE(place.error == "");
  CHECK(level("overlay2", place.path) == kYes);
  CHECK(level("overlay", place.path) == kLimits);
  CHECK(level("fuse-overlayfs", place.path) == kLimits);
  CHECK(level("btrfs", place.path) == kNo);
  CHECK(level("vfs", place.path) == kLimits);
  BackingFilesystem fs = probe_backing(place.path + "/not/there");
  CHECK(fs.type == "extfs");
  CHECK(fs.kernel_type == "ext4");
  CHECK(fs.mount_point == place.path);
  CHECK(fs.place == place.path);
  CHECK(fs.d_type == true);
  CHECK(fs.reflink == false);
  CHECK(fs.xattr == true);
  CHECK(fs.quota == "none");
  CHECK(fs.free_bytes > 0);
  CHECK(fs.free_inodes > 0);
}

TEST_CASE("probes on ext4 without d_type") {
  TestPlace place({"mkfs.ext4", "-q", "-O", "^filetype"});
  REQUIRE(place.error == "");
  CHECK(level("overlay2", place.path) == kNo);
  CHECK(find_driver("overlay2")->probe(place.path).reason.find("d_type") != std::string::npos);
  CHECK(probe_backing(place.path).d_type == false);
}

TEST_CASE("probes on xfs") {
  TestPlace place({"mkfs.xfs", "-q"});
  REQUIRE(place.error == "");
  CHECK(level("overlay2", place.path) == kYes);
  CHECK(level("fuse-overlayfs", place.path) == kLimits);
  CHECK(level("vfs", place.path) == kLimits);
  CHECK(level("btrfs", place.path) == kNo);
  CHECK(probe_backing(place.path).type == "xfs");
  CHECK(probe_backing(place.path).reflink == true);
}

TEST_CASE("probes on xfs without ftype") {
  TestPlace place({"mkfs.xfs", "-q", "-m", "crc=0", "-n", "ftype=0"});
  if (!place.error.empty()) {
    MESSAGE("SKIP: no xfs without ftype on this host: ", place.error);
    return;
  }
  CHECK(level("overlay2", place.path) == kNo);
  Probe probe = find_driver("overlay2")->probe(place.path);
  CHECK(probe.reason.find("d_type") != std::string::npos);
  CHECK(probe.fix.find("ftype=1") != std::string::npos);
}

TEST_CASE("probes on btrfs") {
  TestPlace place({"mkfs.btrfs", "-q"});
  REQUIRE(place.error == "");
  CHECK(level("btrfs", place.path) == kYes);
  CHECK(level("overlay2", place.path) == kYes);
  CHECK(level("vfs", place.path) == kLimits);
  CHECK(level("aufs", place.path) == kNo);
  CHECK(find_driver("aufs")->probe(place.path).reason == "the engine refuses aufs on btrfs");
  CHECK(probe_backing(place.path).quota == "qgroup");
  CHECK(probe_backing(place.path).reflink == true);
}

TEST_CASE("probes on an overlay") {
  TestPlace place;
  for (const char* name : {"l", "u", "w", "m"}) Dir::open(place.path).make_dir(name, 0755);
  std::string merged = place.path + "/m", p = place.path;
  REQUIRE(::mount("overlay", merged.c_str(), "overlay", 0,
                  ("lowerdir=" + p + "/l,upperdir=" + p + "/u,workdir=" + p + "/w").c_str()) == 0);
  CHECK(level("overlay2", merged) == kNo);
  CHECK(level("overlay", merged) == kNo);
  CHECK(level("fuse-overlayfs", merged) == kLimits);
  CHECK(level("vfs", merged) == kLimits);
  CHECK(probe_backing(merged).type == "overlayfs");
  unmount(merged);
}

TEST_CASE("probes on paths that the engine cannot write as mount options") {
  TestPlace place;
  std::string colon = place.path + "/a:b", odd = place.path + "/a b\n\"c\"";
  for (const auto& path : {colon, odd}) REQUIRE(::mkdir(path.c_str(), 0755) == 0);
  CHECK(level("overlay2", colon) == kNo);
  CHECK(find_driver("overlay2")->probe(colon).reason.find("mount options") != std::string::npos);
  CHECK(level("fuse-overlayfs", colon) == kNo);
  CHECK(level("overlay2", odd) == kYes);
  CHECK(level("fuse-overlayfs", odd) == kLimits);
}

TEST_CASE("a directory that an engine mounted on itself lies on the mount below") {
  TestPlace place({"mkfs.ext4", "-q"});
  REQUIRE(place.error == "");
  std::string root = place.path + "/docker", other = place.path + "/other";
  for (const auto& path : {root, other}) REQUIRE(::mkdir(path.c_str(), 0755) == 0);
  REQUIRE(::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr) == 0);
  REQUIRE(::mount(root.c_str(), other.c_str(), nullptr, MS_BIND, nullptr) == 0);
  CHECK(probe_backing(root).mount_point == place.path);
  CHECK(probe_backing(other).mount_point == other);  // a bind of something else is a place of its own
  unmount(other);
  unmount(root);
}

TEST_CASE("probes on a filesystem that is read only, and where drivers are absent") {
  TestPlace place;
  REQUIRE(::mount("none", place.path.c_str(), "tmpfs", MS_RDONLY, nullptr) == 0);
  CHECK(level("overlay2", place.path) == kNo);
  CHECK(level("vfs", place.path) == kNo);
  CHECK(probe_backing(place.path).read_only);
  unmount(place.path);
  if (!kernel_has_filesystem("aufs")) CHECK(level("aufs", place.path) == kNo);
  if (::access("/dev/zfs", F_OK) != 0) CHECK(level("zfs", place.path) == kNo);
  if (::access("/dev/mapper/control", F_OK) != 0) CHECK(level("devicemapper", place.path) == kNo);
}

TEST_CASE("a scratch directory of a killed run goes, one in use stays") {
  TestPlace place;
  Dir dir = Dir::open(place.path);
  dir.make_path(".drover-probe-dead/upper", 0700).write_new("file", "", 0600);
  dir.make_dir(".drover-probe-live", 0700);
  Dir live = dir.sub(".drover-probe-live");
  REQUIRE(::flock(live.fd(), LOCK_EX) == 0);
  { Scratch scratch(place.path); }
  CHECK_FALSE(dir.exists(".drover-probe-dead"));
  CHECK(dir.exists(".drover-probe-live"));
}

TEST_CASE("a driver's home on a filesystem of its own is what is tried") {
  TestPlace place({"mkfs.btrfs", "-q"});
  REQUIRE(place.error == "");
  TestPlace root;
  std::string home = root.path + "/btrfs";
  REQUIRE(::mkdir(home.c_str(), 0755) == 0);
  REQUIRE(::mount(place.path.c_str(), home.c_str(), nullptr, MS_BIND, nullptr) == 0);
  CHECK(find_driver("btrfs")->probe(root.path).usable == kYes);
  unmount(home);
}
