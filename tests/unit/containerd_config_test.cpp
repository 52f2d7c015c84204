#include "detect/containerd_config.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {
constexpr const char* kPath = "/etc/containerd/config.toml";

ContainerdConfig read(const std::string& text) {
  HostTree host{{kPath, text}};
  return read_containerd_config(host.root(), kPath, 1);
}
}  // namespace

TEST_CASE("containerd's snapshotter is found where each version of the file keeps it") {
  CHECK(read("[plugins.cri.containerd]\nsnapshotter = 'zfs'\n").snapshotter == "zfs");
  ContainerdConfig two =
      read("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = 'zfs'\n");
  CHECK(two.version == 2);
  CHECK(two.snapshotter == "zfs");
  CHECK(two.configured);
  CHECK(read("version = 3\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'zfs'\n").snapshotter ==
        "zfs");
  ContainerdConfig none = read("version = 3\nroot = '/srv/c'\n");
  CHECK(none.snapshotter == "overlayfs");
  CHECK_FALSE(none.configured);
  CHECK(none.root == "/srv/c");
}

TEST_CASE("containerd's snapshotter is set where it belongs") {
  CHECK(containerd_config_with_snapshotter(read("version = 3\n"), "zfs") ==
        "version = 3\n\n[plugins.\"io.containerd.cri.v1.images\"]\nsnapshotter = \"zfs\"\n");
  CHECK(containerd_config_with_snapshotter(
            read("version = 2\n[plugins]\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n"
                 "    a = 1\n"),
            "zfs") ==
        "version = 2\n[plugins]\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n    a = 1\n\n"
        "[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"zfs\"\n");
  CHECK(containerd_config_with_snapshotter(read("disabled_plugins = []\n"), "zfs") ==
        "disabled_plugins = []\n\n[plugins.cri.containerd]\nsnapshotter = \"zfs\"\n");
}

TEST_CASE("a new file gets the version of the installed containerd") {
  HostTree host;
  auto made = [&](std::optional<int> major) {
    return containerd_config_with_snapshotter(read_containerd_config(host.root(), kPath, major), "zfs");
  };
  CHECK(made(2) == "version = 3\n\n[plugins.\"io.containerd.cri.v1.images\"]\nsnapshotter = \"zfs\"\n");
  CHECK(made(1) ==
        "version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"zfs\"\n");
  CHECK(made(std::nullopt) == made(1));
  host.write(kPath, "# only a comment");
  CHECK(made(1).starts_with("# only a comment\nversion = 2\n"));
}

TEST_CASE("what else in containerd's file matters is found") {
  ContainerdConfig config = read(
      "version = 2\ndisabled_plugins = [\"cri\"]\nimports = [\"/etc/c.d/*.toml\"]\n"
      "[proxy_plugins.stargz]\ntype = \"snapshot\"\n[proxy_plugins.x]\ntype = \"content\"\n"
      "[plugins.\"io.containerd.snapshotter.v1.blockfile\"]\nfs_type = \"ext4\"\n"
      "[plugins.\"io.containerd.snapshotter.v1.devmapper\"]\npool_name = \"\"\n"
      "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\nsnapshotter = \"devmapper\"\n"
      "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n");
  CHECK(config.cri_disabled);
  CHECK(config.imports == std::vector<std::string>{"/etc/c.d/*.toml"});
  CHECK(config.set_up == std::vector<std::string>{"stargz", "blockfile"});
  CHECK(config.runtime_snapshotters == std::vector<std::string>{"kata: devmapper"});
}

TEST_CASE("a containerd file of an unknown version, or none at all, is refused with its path") {
  CHECK_THROWS_WITH_AS(read("version = 9\n"), doctest::Contains("version 9"), Error);
  CHECK_THROWS_WITH_AS(read("version = 4294967298\n"), doctest::Contains("version 4294967298"), Error);
  CHECK_THROWS_WITH_AS(read("version = = 2\n"), doctest::Contains(kPath), Error);
}
