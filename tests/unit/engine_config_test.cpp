#include "detect/engine_config.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "detect/dockerd_commands.hpp"
#include "detect/json_edit.hpp"
#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {
constexpr const char* kDaemonJson = "/etc/docker/daemon.json";
constexpr const char* kUnit = "/lib/systemd/system/docker.service";

EngineConfig read(const HostTree& host) { return read_engine_config_below(host.root(), kDaemonJson); }

std::string flags_text(const std::vector<EngineConfig::Flag>& flags) {
  std::string text;
  for (const auto& f : flags) text += f.name + "=" + f.value + " @ " + f.where + "\n";
  return text;
}

std::string with_driver(const std::string& text, const std::string& driver,
                        const std::vector<std::string>& options = {}) {
  std::string out = config_with_driver(text, driver, options, nullptr);
  CHECK_MESSAGE(nlohmann::json::accept(out), out);
  return out;
}
}  // namespace

TEST_CASE("daemon.json is read") {
  HostTree host{{kDaemonJson, R"({"storage-driver": "btrfs", "storage-opts": ["btrfs.min_space=1G"],
      "data-root": "/srv/docker", "userns-remap": "default", "features": {"containerd-snapshotter": false}})"}};
  EngineConfig config = read(host);
  CHECK(config.config_exists);
  CHECK(config.driver == "btrfs");
  CHECK(config.storage_opts == std::vector<std::string>{"btrfs.min_space=1G"});
  CHECK(config.data_root == "/srv/docker");
  CHECK(config.userns_remap == "default");
  CHECK(config.containerd_snapshotter == false);
  CHECK(config.flags.empty());
}

TEST_CASE("an absent or empty daemon.json says nothing; graph is the old name of data-root") {
  HostTree host;
  EngineConfig config = read(host);
  CHECK_FALSE(config.config_exists);
  CHECK(config.config_path == kDaemonJson);
  CHECK_FALSE(config.driver);
  host.write(kDaemonJson, " \n");
  CHECK(read(host).config_exists);
  host.write(kDaemonJson, R"({"graph": "/old"})");
  CHECK(read(host).data_root == "/old");
}

TEST_CASE("a daemon.json that the engine would not take is refused with its path") {
  for (const char* text : {"{", "[]", "{\"storage-driver\": 1}", "{\"storage-opts\": \"a\"}",
                           "{\"storage-opts\": [1]}", "{\"x\": \"\xff\"}", "{} {}"}) {
    CAPTURE(text);
    HostTree host{{kDaemonJson, text}};
    CHECK_THROWS_WITH_AS(read(host), doctest::Contains(kDaemonJson), Error);
  }
  HostTree big{{kDaemonJson, "{}" + std::string(5 << 20, ' ')}};
  CHECK_THROWS_AS(read(big), Error);
}

TEST_CASE(
    "flags of the unit, its drop-ins and its environment files are found with the file that sets them") {
  HostTree host{
      {kUnit,
       "[Unit]\nDescription=x -s no\n[Service]\nEnvironmentFile=-/etc/default/docker\n"
       "ExecStart=/usr/sbin/dockerd -H fd:// \\\n   # a comment\n  --data-root /srv/a $DOCKER_OPTS\n"},
      {"/etc/default/docker",
       "# DOCKER_OPTS=\"-s aufs\"\nexport DOCKER_OPTS=\"--storage-opt dm.fs=xfs -s devicemapper\"\n"},
  };
  CHECK(flags_text(read(host).flags) ==
        "data-root=/srv/a @ unit docker.service (/lib/systemd/system/docker.service)\n"
        "storage-opt=dm.fs=xfs @ unit docker.service (/etc/default/docker)\n"
        "storage-driver=devicemapper @ unit docker.service (/etc/default/docker)\n");
  CHECK(conflicting_flags(read(host)).size() == 2);

  host.write("/etc/systemd/system/docker.service.d/20-driver.conf",
             "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd --storage-driver=${DRIVER} -g/srv/b\n"
             "Environment=\"DRIVER=vfs\" DOCKER_DRIVER=btrfs\n");
  host.write("/lib/systemd/system/docker.service.d/10-early.conf", "[Service]\nExecStart=\n");
  std::string drop_in = "unit docker.service (/etc/systemd/system/docker.service.d/20-driver.conf)\n";
  CHECK(flags_text(read(host).flags) == "storage-driver=btrfs @ environment DOCKER_DRIVER of " + drop_in +
                                            "storage-driver=vfs @ " + drop_in + "data-root=/srv/b @ " +
                                            drop_in);
}

TEST_CASE("a unit in /etc hides the distribution's, a masked one is none, and then sysvinit's file counts") {
  HostTree host{{kUnit, "[Service]\nExecStart=/usr/bin/dockerd -s zfs\n"},
                {"/etc/default/docker", "DOCKER_OPTS='-s overlay2'\n"}};
  CHECK(flags_text(read(host).flags) ==
        "storage-driver=zfs @ unit docker.service (/lib/systemd/system/docker.service)\n");
  host.write("/etc/systemd/system/docker.service",
             "[Service]\nExecStart=-/usr/bin/dockerd --storage-driver vfs\n");
  CHECK(flags_text(read(host).flags) ==
        "storage-driver=vfs @ unit docker.service (/etc/systemd/system/docker.service)\n");
  HostTree sysvinit{{"/etc/default/docker", "DOCKER_OPTS='-s overlay2'\n"}};
  CHECK(flags_text(read(sysvinit).flags) == "storage-driver=overlay2 @ /etc/default/docker\n");
}

TEST_CASE("short flags are read as pflag reads them") {
  auto flags = [](const std::string& arguments) {
    HostTree host{{kUnit, "[Service]\nExecStart=/usr/bin/dockerd " + arguments + "\n"}};
    std::string text;
    for (const auto& f : read(host).flags) text += f.name + "=" + f.value + " ";
    return text;
  };
  CHECK(flags("-svfs") == "storage-driver=vfs ");
  CHECK(flags("-s=vfs") == "storage-driver=vfs ");
  CHECK(flags("-Ds vfs") == "storage-driver=vfs ");
  CHECK(flags("-H -s --storage-driver \"a b\"") == "storage-driver=a b ");
  CHECK(flags("--storage-drivers=x --debug") == "");
  CHECK(flags("-s") == "");
}

TEST_CASE("running engines count if they read this configuration file") {
  auto cmdline = [](std::string words) {
    for (char& c : words)
      if (c == ' ') c = '\0';
    return words + '\0';
  };
  HostTree host{
      {"/proc/7/cmdline", cmdline("/usr/bin/dockerd --data-root /srv/a")},
      {"/proc/7/cgroup", "0::/system.slice/docker.service\n"},
      {"/proc/8/cmdline", cmdline("dockerd -s vfs --config-file /tmp/other.json")},
      {"/proc/9/cmdline", cmdline("/bin/grep dockerd -s")},
      {"/proc/self/status", ""},
      {"/proc/10/cmdline", ""},
      {kUnit, "[Service]\nExecStart=/usr/bin/dockerd -s btrfs\n"},
  };
  EngineConfig config = read(host);
  std::string all = flags_text(config.flags);
  CHECK(all.starts_with("data-root=/srv/a @ running dockerd (pid 7)\n"));
  CHECK(config.flags.at(0).until_restart);
  CHECK(all.find("vfs") == std::string::npos);
  CHECK(flags_text(conflicting_flags(config)) ==
        "storage-driver=btrfs @ unit docker.service (/lib/systemd/system/docker.service)\n");
  EngineConfig other = read_engine_config_below(host.root(), "/tmp/other.json");
  CHECK(flags_text(conflicting_flags(other)) == "storage-driver=vfs @ running dockerd (pid 8)\n");
}

TEST_CASE("to root no other user's process is an engine of the host") {
  if (::geteuid() != 0) {
    MESSAGE("SKIP: only root asks whose an engine is");
    return;
  }
  const std::string command("dockerd\0--config-file\0/home/u/daemon.json\0", 42);
  for (const char* users : {"1000\t1000\t1000\t1000", "1000\t0\t0\t0", "0\t0\t0\t0"}) {
    HostTree host{{"/proc/7/cmdline", command},
                  {"/proc/7/status", std::string("Name:\tdockerd\nUid:\t") + users + "\nGid:\t0\t0\t0\t0\n"},
                  {"/proc/7/cgroup", "0::/user.slice/user@1000.service/app.slice/docker.service\n"},
                  {kUnit, "[Service]\nExecStart=/usr/bin/dockerd\n"}};
    bool is_roots = std::string(users) == "0\t0\t0\t0";
    CHECK(read_engine_config_below(host.root(), std::nullopt).config_path ==
          (is_roots ? "/home/u/daemon.json" : "/etc/docker/daemon.json"));
  }
}

TEST_CASE("a process whose command line has no end is no engine, and keeps nothing from being read") {
  HostTree host{{"/proc/7/cmdline", "dockerd" + std::string(65 << 20, '\0')},
                {kUnit, "[Service]\nExecStart=/usr/bin/dockerd --config-file=/srv/engine.json\n"}};
  CHECK(read_engine_config_below(host.root(), std::nullopt).config_path == "/srv/engine.json");
  CHECK_FALSE(is_engine_process(Dir::open(host.path("/proc/7"))));
}

TEST_CASE("without --config the file is the one that the engine names") {
  HostTree host{{kUnit, "[Service]\nExecStart=/usr/bin/dockerd --config-file=/srv/engine.json -s vfs\n"},
                {"/srv/engine.json", R"({"data-root": "/srv"})"}};
  EngineConfig config = read_engine_config_below(host.root(), std::nullopt);
  CHECK(config.config_path == "/srv/engine.json");
  CHECK(config.data_root == "/srv");
  CHECK(config.flags.size() == 1);
}

TEST_CASE("storage-opts belong to the driver whose parser knows them") {
  CHECK(storage_opt_fits("overlay2", "overlay2.size=10G"));
  CHECK(storage_opt_fits("overlay2", " Overlay2.Size =10G"));
  CHECK_FALSE(storage_opt_fits("overlay2", "dm.fs=xfs"));
  CHECK_FALSE(storage_opt_fits("overlay2", "overlay2.sized=1"));
  CHECK_FALSE(storage_opt_fits("overlay2", "size=1G"));
  CHECK(storage_opt_fits("vfs", "size=1G"));
  CHECK(storage_opt_fits("devicemapper", "dm.thinpooldev=x"));
  CHECK_FALSE(storage_opt_fits("fuse-overlayfs", "overlay2.size=10G"));
}

TEST_CASE("config_with_driver makes a new file, or changes two keys of an old one") {
  CHECK(with_driver("", "vfs") == "{\n  \"storage-driver\": \"vfs\"\n}\n");
  CHECK(with_driver("\n", "overlay2", {"overlay2.size=1G"}) ==
        "{\n  \"storage-driver\": \"overlay2\",\n  \"storage-opts\": [\"overlay2.size=1G\"]\n}\n");
  CHECK(with_driver("{\n\t\"zz\": 1,\n\t\"storage-driver\": \"aufs\",\n\t\"debug\": true\n}", "vfs") ==
        "{\n\t\"zz\": 1,\n\t\"storage-driver\": \"vfs\",\n\t\"debug\": true\n}");
  CHECK(with_driver(R"({"storage-opts":[],"a":1})", "vfs") ==
        R"({"storage-opts":[],"a":1,"storage-driver":"vfs"})");
}

TEST_CASE("config_with_driver keeps the driver's own options and removes the others with a word") {
  const char* text =
      "{\n  \"storage-opts\": [\n    \"dm.fs=xfs\",\n    \"overlay2.size=1G\",\n    \"bad\"\n  ],\n  "
      "\"debug\": true\n}\n";
  std::vector<std::string> removed;
  CHECK(config_with_driver(text, "overlay2", {}, &removed) ==
        "{\n  \"storage-opts\": [\n    \"overlay2.size=1G\"\n  ],\n  \"debug\": true,\n  \"storage-driver\": "
        "\"overlay2\"\n}\n");
  CHECK(removed == std::vector<std::string>{"dm.fs=xfs", "bad"});
  CHECK(with_driver(text, "vfs") == "{\n  \"debug\": true,\n  \"storage-driver\": \"vfs\"\n}\n");
  CHECK(json_value_text(
            with_driver(text, "overlay2", {"OVERLAY2.size=2G", "overlay2.override_kernel_check=1"}),
            "storage-opts") == "[\n    \"OVERLAY2.size=2G\",\n    \"overlay2.override_kernel_check=1\"\n  ]");
  std::string same = with_driver(R"({"storage-driver":"vfs", "storage-opts": ["size=1G" ] })", "vfs");
  CHECK(same == R"({"storage-driver":"vfs", "storage-opts": ["size=1G" ] })");
}

TEST_CASE("flags are in the way where the engine would not start, or not obey") {
  auto in_the_way = [](const std::string& arguments, const std::string& text) {
    HostTree host{{kUnit, "[Service]\nExecStart=/usr/bin/dockerd " + arguments + "\n"}};
    return flags_in_the_way(read(host), "vfs", text).size();
  };
  const std::string plain = R"({"storage-driver": "vfs"})", with_opts = R"({"storage-opts": ["size=1G"]})";
  CHECK(in_the_way("-s vfs", plain) == 1);
  CHECK(in_the_way("--storage-opt size=1G", plain) == 0);
  CHECK(in_the_way("--storage-opt size=1G", with_opts) == 1);
  CHECK(in_the_way("--storage-opt dm.fs=xfs", plain) == 1);
  CHECK(in_the_way("--data-root /x", plain) == 0);
  CHECK(in_the_way("\nEnvironment=DOCKER_DRIVER=vfs", plain) == 0);
  CHECK(in_the_way("\nEnvironment=DOCKER_DRIVER=zfs", plain) == 1);
}
