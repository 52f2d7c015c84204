#include "detect/podman_config.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {
PodmanEnvironment rootful() { return {}; }

PodmanEnvironment rootless() {
  PodmanEnvironment env;
  env.rootless = true;
  env.uid = 1000;
  env.home = "/home/u";
  return env;
}

constexpr const char* kEtc = "/etc/containers/storage.conf";
constexpr const char* kShared = "/usr/share/containers/storage.conf";
}  // namespace

TEST_CASE("rootful podman reads /etc, else the distribution's file, which a new one starts from") {
  HostTree host{{kShared, "[storage]\ndriver = \"overlay\"\ngraphroot = \"/srv/c\"\n"}};
  PodmanConfig config = read_podman_config(host.root(), rootful(), std::nullopt);
  CHECK(config.path == kEtc);
  CHECK(config.base_path == kShared);
  CHECK(config.driver == "overlay");
  CHECK(config.graph_root == "/srv/c");
  CHECK(podman_config_with_driver(config, "vfs", nullptr) ==
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"/srv/c\"\n");
  host.write(kEtc, "[storage]\ndriver = \"overlay2\"\n");
  config = read_podman_config(host.root(), rootful(), std::nullopt);
  CHECK(config.base_path == kEtc);
  CHECK(config.driver == "overlay");
  CHECK(config.graph_root == "/var/lib/containers/storage");
}

TEST_CASE("without any file a rootful one names the folders that it must") {
  HostTree host;
  PodmanConfig config = read_podman_config(host.root(), rootful(), std::nullopt);
  CHECK(podman_config_with_driver(config, "vfs", nullptr) ==
        "[storage]\ndriver = \"vfs\"\nrunroot = \"/run/containers/storage\"\ngraphroot = "
        "\"/var/lib/containers/storage\"\n");
}

TEST_CASE("rootless podman has a file and a store of its own") {
  HostTree host{{kEtc, "[storage]\ndriver = \"btrfs\"\n"}};
  PodmanConfig config = read_podman_config(host.root(), rootless(), std::nullopt);
  CHECK(config.path == "/home/u/.config/containers/storage.conf");
  CHECK_FALSE(config.driver);
  CHECK(config.graph_root == "/home/u/.local/share/containers/storage");
  CHECK(podman_config_with_driver(config, "vfs", nullptr) == "[storage]\ndriver = \"vfs\"\n");
  PodmanEnvironment env = rootless();
  env.xdg_config_home = "/home/u/cfg";
  host.write("/home/u/cfg/containers/storage.conf",
             "[storage]\nrootless_storage_path = \"/srv/$UID$HOME\"\n");
  CHECK(read_podman_config(host.root(), env, std::nullopt).graph_root == "/srv/1000/home/u");
}

TEST_CASE("CONTAINERS_STORAGE_CONF and --config name the one file that counts") {
  HostTree host{{kEtc, "[storage]\ndriver = \"btrfs\"\n"}, {"/my.conf", "[storage]\ndriver = \"zfs\"\n"}};
  PodmanEnvironment env = rootful();
  env.storage_conf = "/my.conf";
  CHECK(read_podman_config(host.root(), env, std::nullopt).driver == "zfs");
  CHECK(read_podman_config(host.root(), rootful(), "/my.conf").path == "/my.conf");
}

TEST_CASE("what wins over the file is named") {
  HostTree host{{"/etc/containers/storage.conf.d/10.conf", "[storage]\ndriver = \"vfs\"\n"},
                {"/etc/containers/storage.conf.d/20.conf", "[storage]\n"},
                {"/etc/containers/storage.rootless.conf.d/30.conf", "[storage]\ndriver = \"vfs\"\n"}};
  PodmanEnvironment env = rootful();
  env.storage_driver = "btrfs";
  auto overrides = read_podman_config(host.root(), env, std::nullopt).overrides;
  REQUIRE(overrides.size() == 2);
  CHECK(overrides[0].starts_with("/etc/containers/storage.conf.d/10.conf"));
  CHECK(overrides[1] == "the environment: STORAGE_DRIVER=btrfs");
}

TEST_CASE("general options that the driver refuses are removed, its own tables stay") {
  HostTree host{{kEtc,
                 "[storage]\ndriver = \"overlay\"\n[storage.options]\nmountopt = \"nodev\"\nsize = \"\"\n"
                 "[storage.options.overlay]\nmountopt = \"nodev\"\n"}};
  PodmanConfig config = read_podman_config(host.root(), rootful(), std::nullopt);
  std::vector<std::string> removed;
  CHECK(podman_config_with_driver(config, "vfs", &removed) ==
        "[storage]\ndriver = \"vfs\"\n[storage.options]\nsize = \"\"\n"
        "[storage.options.overlay]\nmountopt = \"nodev\"\n");
  CHECK(removed == std::vector<std::string>{"storage.options.mountopt"});
  CHECK(podman_config_with_driver(config, "overlay", nullptr) == config.text);
}

TEST_CASE("a storage.conf that is no TOML is refused with its path") {
  HostTree host{{kEtc, "[storage\n"}};
  CHECK_THROWS_WITH_AS(read_podman_config(host.root(), rootful(), std::nullopt), doctest::Contains(kEtc),
                       Error);
}

TEST_CASE("podman's stores and database are found") {
  HostTree host{{"/overlay-images/images.json", "[{}, {}]"},
                {"/vfs-layers/layers.json", "[]\n"},
                {"/libpod/bolt_state.db", "x"}};
  CHECK(podman_stores(host.root()) == std::vector<std::string>{"overlay"});
  CHECK(podman_database(host.root()) == host.path("/libpod/bolt_state.db"));
  CHECK_FALSE(podman_database(host.path("/none")));
}
