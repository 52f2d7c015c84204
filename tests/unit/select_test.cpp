#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "migrate/config_file.hpp"
#include "tests/support/host_tree.hpp"
#include "tests/support/run_drover.hpp"

using namespace drover;
using test::Run;

namespace {

/// Runs `drover select` without a terminal to ask on.
Run select(const HostTree& host, const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {"select", "--data-root", host.path("/root"), "--config",
                                    host.path("/config")};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return test::run_drover(std::move(words));
}

nlohmann::json json_of(const Run& run) {
  CHECK_MESSAGE(run.code == 0, run.err);
  return nlohmann::json::parse(run.out);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

unsigned mode_of(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

}  // namespace

TEST_CASE("select writes a new configuration, and the second time there is nothing to do") {
  HostTree host;
  Run first = select(host, {"-s", "vfs", "-y"});
  CHECK_MESSAGE(first.code == 0, first.err);
  CHECK(host.read("/config") == "{\n  \"storage-driver\": \"vfs\"\n}\n");
  CHECK(mode_of(host.path("/config")) == 0644);
  Run second = select(host, {"-s", "vfs"});
  CHECK(second.code == 0);
  CHECK(contains(second.out, "in force already"));
  CHECK(host.names("") == std::vector<std::string>{"config"});
}

TEST_CASE("select keeps the rest of the file, its mode, and every old file") {
  HostTree host{
      {"/config", "{\n\t\"zz\": [1,  2],\n\t\"storage-opts\": [\"dm.fs=xfs\"],\n\t\"debug\": true\n}"}};
  ::chmod(host.path("/config").c_str(), 0600);
  std::string before = host.read("/config");
  Run run = select(host, {"-s", "vfs", "-y"});
  CHECK_MESSAGE(run.code == 0, run.err);
  CHECK(contains(run.out, "dm.fs=xfs"));
  CHECK(host.read("/config") ==
        "{\n\t\"zz\": [1,  2],\n\t\"debug\": true,\n\t\"storage-driver\": \"vfs\"\n}");
  CHECK(mode_of(host.path("/config")) == 0600);
  CHECK(host.read("/config.drover-backup") == before);
  std::string between = host.read("/config");
  CHECK(select(host, {"-s", "vfs", "--storage-opt", "vfs.xattrs=i_want_broken_containers", "-y"}).code == 0);
  CHECK(host.read("/config.drover-backup") == before);
  CHECK(host.read("/config.drover-backup.2") == between);
  CHECK(host.names("").size() == 3);
  // As a run leaves it that was cut after its backup: that one serves.
  host.write("/config.drover-backup.3", host.read("/config"));
  CHECK(select(host, {"-s", "vfs", "-y"}).code == 0);
  CHECK(host.names("").size() == 4);
}

TEST_CASE("a dry run prints the diff and writes nothing") {
  HostTree host{{"/config", "{\n  \"debug\": true\n}\n"}};
  Run run = select(host, {"-s", "vfs", "--dry-run"});
  CHECK(run.code == 0);
  CHECK(contains(run.out,
                 "--- " + host.path("/config") + "\n+++ " + host.path("/config") +
                     "\n@@ -1,3 +1,4 @@\n {\n-  \"debug\": true\n+  \"debug\": true,\n+  \"storage-driver\": "
                     "\"vfs\"\n }\n"));
  CHECK(host.read("/config") == "{\n  \"debug\": true\n}\n");
  CHECK(host.names("").size() == 1);
}

TEST_CASE("select does not change a host unasked") {
  HostTree host;
  Run run = select(host, {"-s", "vfs"});
  CHECK(run.code == 2);
  CHECK(contains(run.err, "hint: add --yes"));
  CHECK(host.names("").empty());
}

TEST_CASE("wrong use of select is exit code 2 and changes nothing") {
  HostTree host;
  std::vector<std::vector<std::string>> wrong = {{"-s", "overlay3", "-y"},
                                                 {"--workload", "desktop"},
                                                 {"--engine", "lxc"},
                                                 {"--format", "xml"},
                                                 {"-s", "vfs", "--storage-opt", "size", "-y"},
                                                 {"-s", "vfs", "--storage-opt", "=1", "-y"},
                                                 {"-s", "vfs", "--storage-opt", "overlay2.size=1G", "-y"},
                                                 {"--engine", "podman", "--storage-opt", "size=1", "-y"}};
  for (const auto& arguments : wrong) {
    Run run = select(host, arguments);
    CAPTURE(run.err);
    CHECK(run.code == 2);
    CHECK(contains(run.err, "hint: "));
    CHECK(host.names("").empty());
  }
}

TEST_CASE("a driver that cannot be used here is exit code 10 with reason and fix") {
  HostTree host;
  nlohmann::json json = json_of(select(host, {"--explain", "--format", "json"}));
  CHECK(json["drivers"].size() == 8);
  int refused = 0;
  for (const auto& driver : json["drivers"]) {
    if (driver["usable"]) continue;
    auto name = driver["driver"].get<std::string>();
    Run run = select(host, {"-s", name, "-y"});
    CHECK(run.code == 10);
    CHECK(contains(run.err, "cannot use " + name));
    CHECK(contains(run.err, "hint: "));
    ++refused;
  }
  if (refused == 0) MESSAGE("not checked: every driver is usable on this host");
  CHECK(host.names("").empty());
}

TEST_CASE("data of other drivers is named with the command that moves it") {
  HostTree host{{"/root/overlay2/l/x", ""}, {"/root/btrfs/x", ""}};
  Run run = select(host, {"-s", "vfs", "--dry-run"});
  CHECK(contains(run.out, "data of overlay2 and btrfs in " + host.path("/root")));
  CHECK(contains(run.out, "`drover migrate --from overlay2 (or --from btrfs) --to vfs` moves them instead"));
  nlohmann::json json = json_of(select(host, {"-s", "vfs", "--dry-run", "--format", "json"}));
  CHECK(json["choice"]["hides"] == nlohmann::json({"overlay2", "btrfs"}));
  CHECK(json["choice"]["changed"] == false);
  CHECK(contains(json["choice"]["diff"], "+  \"storage-driver\": \"vfs\""));
}

TEST_CASE("a configuration that is a symlink stays one") {
  HostTree host{{"/real/daemon.json", "{}\n"}};
  host.link("/config", "real/daemon.json");
  CHECK(select(host, {"-s", "vfs", "-y"}).code == 0);
  CHECK(std::filesystem::is_symlink(host.path("/config")));
  CHECK(contains(host.read("/real/daemon.json"), "vfs"));
  CHECK(host.names("/real") == std::vector<std::string>{"daemon.json", "daemon.json.drover-backup"});
  host.link("/other/config", "nowhere");
  CHECK_THROWS_WITH(ConfigFile(host.path("/other/config")), doctest::Contains("symlink to nothing"));
}

TEST_CASE("a configuration that cannot be read is left alone; missing folders are made") {
  HostTree broken{{"/config", "{ \"a\": 1"}};
  Run run = select(broken, {"-s", "vfs", "-y"});
  CHECK(run.code == 1);
  CHECK(contains(run.err, broken.path("/config")));
  CHECK(broken.names("").size() == 1);
  HostTree host;
  CHECK(select(host, {"--config", host.path("/etc/docker/daemon.json"), "-s", "vfs", "-y"}).code == 2);
  ConfigFile file(host.path("/etc/docker/daemon.json"));
  CHECK_FALSE(file.replace("{}\n"));
  CHECK(host.read("/etc/docker/daemon.json") == "{}\n");
  CHECK(mode_of(host.path("/etc/docker")) == 0755);
}

TEST_CASE("a configuration that changed in the meantime is not overwritten") {
  HostTree host{{"/config", "{}\n"}};
  ConfigFile file(host.path("/config"));
  host.write("/config", "{ }\n");
  CHECK_THROWS_WITH(file.replace("{\"a\":1}"), doctest::Contains("changed in the meantime"));
  CHECK(host.read("/config") == "{ }\n");
  ConfigFile absent(host.path("/new"));
  host.write("/new", "of another hand");
  CHECK_THROWS_WITH(absent.replace("{}\n"), doctest::Contains("changed in the meantime"));
  CHECK(host.read("/new") == "of another hand");
}

TEST_CASE("containerd's store under the engine is not overruled") {
  HostTree host{{"/config", R"({"features": {"containerd-snapshotter": true}})"}};
  Run run = select(host, {"-s", "vfs", "-y"});
  CHECK(run.code == 1);
  CHECK(contains(run.err, "containerd-snapshotter"));
  CHECK(host.names("").size() == 1);
}

TEST_CASE("select --engine podman edits storage.conf in place") {
  HostTree host{
      {"/config",
       "# mine\n[storage]\ndriver = \"overlay\" # the driver\n[storage.options]\nmountopt = \"nodev\"\n"},
      {"/root/overlay-images/images.json", "[{\"id\":\"x\"}]"},
      {"/root/db.sql", "x"}};
  Run run = select(host, {"--engine", "podman", "-s", "vfs", "-y"});
  CHECK_MESSAGE(run.code == 0, run.err);
  CHECK(host.read("/config") == "# mine\n[storage]\ndriver = \"vfs\" # the driver\n[storage.options]\n");
  CHECK(contains(run.out, "data of overlay in " + host.path("/root")));
  CHECK(contains(run.out, host.path("/root/db.sql")));
  CHECK(contains(run.out, "storage.options.mountopt is removed"));
  CHECK(contains(select(host, {"--engine", "podman", "-s", "vfs"}).out, "in force already"));
  CHECK(select(host, {"--engine", "podman", "-s", "native"}).code == 2);
}

TEST_CASE("select --engine containerd edits the snapshotter in place") {
  HostTree host{{"/config",
                 "version = 2\n[plugins]\n  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n    # here\n"
                 "    snapshotter = \"overlayfs\" # x\n"},
                {"/root/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/a", ""},
                {"/root/io.containerd.snapshotter.v1.btrfs/metadata.db", ""}};
  Run run = select(host, {"--engine", "containerd", "-s", "native", "-y"});
  CHECK_MESSAGE(run.code == 0, run.err);
  CHECK(contains(host.read("/config"), "    # here\n    snapshotter = \"native\" # x\n"));
  CHECK(contains(run.out, "snapshots of overlayfs in"));
  CHECK_FALSE(contains(run.out, "snapshots of btrfs in"));
  CHECK(select(host, {"--engine", "containerd", "-s", "fuse-overlayfs", "-y"}).code == 10);
  CHECK(select(host, {"--engine", "containerd", "-s", "devmapper", "-y"}).code == 10);
  CHECK(select(host, {"--engine", "containerd", "-s", "overlay2", "-y"}).code == 2);
}

namespace {
/// Puts a dockerd of our own first in PATH.
class FakeEngine {
 public:
  explicit FakeEngine(const std::string& script) : bin_{{"/dockerd", "#!/bin/sh\n" + script}} {
    ::chmod(bin_.path("/dockerd").c_str(), 0755);
    if (const char* path = std::getenv("PATH")) saved_ = path;
    ::setenv("PATH", (bin_.root() + ":" + saved_).c_str(), 1);
  }
  ~FakeEngine() { ::setenv("PATH", saved_.c_str(), 1); }
  FakeEngine(const FakeEngine&) = delete;
  FakeEngine& operator=(const FakeEngine&) = delete;

 private:
  HostTree bin_;
  std::string saved_;
};
}  // namespace

TEST_CASE("an engine that can check a configuration is asked before it is written") {
  FakeEngine engine(
      "[ \"$1\" = --version ] && echo 'Docker version 28.0.1, build x' && exit 0\n"
      "[ \"$1 $2\" = '--validate --config-file' ] || exit 9\n"
      "grep -q storage-driver \"$3\" || exit 8\n"
      "grep -q bad \"$3\" || exit 0\n"
      "echo 'unable to configure: unknown directive bad' >&2; exit 1\n");
  HostTree host{{"/config", "{}\n"}};
  Run run = select(host, {"-s", "vfs", "-y"});
  CHECK_MESSAGE(run.code == 0, run.err);
  CHECK_FALSE(contains(run.out, "check"));
  HostTree refused{{"/config", "{\"bad\": 1}\n"}};
  run = select(refused, {"-s", "vfs", "-y"});
  CHECK(run.code == 1);
  CHECK(contains(run.err, "unknown directive bad"));
  CHECK(refused.read("/config") == "{\"bad\": 1}\n");
  CHECK(refused.names("").size() == 1);
  CHECK(select(host, {"-s", "aufs", "-y"}).code == 10);
}

TEST_CASE("an engine that is too old to check a configuration is said to be") {
  FakeEngine engine(
      "[ \"$1\" = --version ] && echo 'Docker version 20.10.24+dfsg1, build x' && exit 0\n"
      "echo 'unknown flag: --validate' >&2; exit 125\n");
  HostTree host;
  Run run = select(host, {"-s", "vfs", "-y"});
  CHECK(run.code == 0);
  CHECK(contains(run.out, "dockerd 20.10.24+dfsg1 cannot check a configuration"));
}
