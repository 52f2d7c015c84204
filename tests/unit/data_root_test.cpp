#include "detect/data_root.hpp"

#include <doctest/doctest.h>
#include <sys/file.h>

#include <cstdlib>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"

using namespace drover;
using K = DriverKind;

namespace {

struct TempDir {
  std::string path = "/tmp/drover-unit-XXXXXX";
  TempDir() { REQUIRE(::mkdtemp(path.data())); }
  ~TempDir() { Dir::open("/tmp").remove_tree(path.substr(5)); }
  void make(const std::string& relative) const { Dir::open(path).make_path(relative, 0755); }
};

EngineVersion version(int major, int minor) { return {major, minor, std::to_string(major)}; }

CurrentDriver current(const std::string& root, const EngineConfig& config, const EngineVersion& engine) {
  return find_current_driver(find_data_root(root, config), config, engine);
}

}  // namespace

TEST_CASE("dockerd's version is read from what it prints") {
  auto v = parse_engine_version("Docker version 20.10.24+dfsg1, build 5d6db84\n");
  REQUIRE(v);
  CHECK(v->major == 20);
  CHECK(v->minor == 10);
  CHECK(v->text == "20.10.24+dfsg1");
  CHECK(parse_engine_version("Docker version 29.1.5")->major == 29);
  CHECK_FALSE(parse_engine_version(""));
  CHECK_FALSE(parse_engine_version("Docker version dev, build x"));
}

TEST_CASE("each engine looks for its own drivers, in its own order") {
  CHECK(priority_list(version(20, 10)).front() == K::btrfs);
  CHECK(priority_list(version(23, 0)).front() == K::overlay2);
  CHECK(priority_list(version(1, 12)).front() == K::aufs);
  CHECK(priority_list(version(24, 0)).size() == 6);
  CHECK(priority_list(std::nullopt) == priority_list(version(28, 5)));
  CHECK(last_engine_with(K::aufs) == 23);
  CHECK(last_engine_with(K::devicemapper) == 24);
  CHECK_FALSE(last_engine_with(K::overlay2));
}

TEST_CASE("prior state decides, a flag or daemon.json comes first, vfs never counts") {
  TempDir root;
  EngineConfig config;
  config.config_path = "/etc/docker/daemon.json";
  root.make("overlay2/l");
  root.make("vfs/dir");
  root.make("btrfs");  // empty: no state
  CurrentDriver now = current(root.path, config, version(20, 10));
  CHECK(now.kind == K::overlay2);
  CHECK(now.source == "prior state on disk");
  CHECK(now.priors == std::vector{K::overlay2});
  CHECK(now.homes == std::vector{K::overlay2, K::vfs});
  config.driver = "vfs";
  now = current(root.path, config, version(20, 10));
  CHECK(now.kind == K::vfs);
  CHECK(now.source == "/etc/docker/daemon.json");
  config.flags.push_back({"storage-driver", "btrfs", "unit docker.service", false});
  CHECK(current(root.path, config, version(20, 10)).kind == K::btrfs);
}

TEST_CASE("flags of an engine that uses another data root say nothing about this one") {
  TempDir root;
  root.make("overlay2/l");
  EngineConfig config;
  config.flags = {{"data-root", "/somewhere/else", "running dockerd (pid 7)", false},
                  {"storage-driver", "vfs", "running dockerd (pid 7)", false}};
  CHECK(current(root.path, config, version(20, 10)).kind == K::overlay2);
  config.flags[0].value = root.path;
  CHECK(current(root.path, config, version(20, 10)).kind == K::vfs);
}

TEST_CASE("two priors without a choice are no driver") {
  TempDir root;
  root.make("overlay2/l");
  root.make("aufs/diff");
  CurrentDriver now = current(root.path, {}, version(20, 10));
  CHECK_FALSE(now.kind);
  CHECK(now.source.find("overlay2, aufs") != std::string::npos);
  // An engine that has no aufs does not see its state.
  now = current(root.path, {}, version(24, 0));
  CHECK(now.kind == K::overlay2);
  CHECK(now.homes.size() == 2);
}

TEST_CASE("an unknown driver is named, not guessed") {
  TempDir root;
  EngineConfig config;
  config.driver = "overlay9";
  CurrentDriver now = current(root.path, config, version(20, 10));
  CHECK_FALSE(now.kind);
  CHECK(now.name == "overlay9");
}

TEST_CASE("engines of today may keep images in containerd's store") {
  TempDir root;
  EngineConfig config;
  CHECK(current(root.path, config, version(29, 1)).containerd);
  config.containerd_snapshotter = false;
  CHECK_FALSE(current(root.path, config, version(29, 1)).containerd);
  config.containerd_snapshotter = true;
  CHECK(current(root.path, config, version(28, 1)).containerd);
  CHECK_FALSE(current(root.path, config, version(20, 10)).containerd);
  config.containerd_snapshotter.reset();
  root.make("overlay2/l");
  CHECK(current(root.path, config, version(29, 1)).kind == K::overlay2);
}

TEST_CASE("the data root comes from the flag, a command line, daemon.json, or is the default") {
  TempDir root;
  EngineConfig config;
  config.config_path = "/etc/docker/daemon.json";
  config.data_root = root.path;
  CHECK(find_data_root(std::nullopt, config).path == root.path);
  CHECK(find_data_root(std::nullopt, config).source == "/etc/docker/daemon.json");
  config.flags = {{"data-root", "/nowhere/docker", "unit docker.service", false}};
  DataRoot found = find_data_root(std::nullopt, config);
  CHECK(found.path == "/nowhere/docker");
  CHECK(found.source == "unit docker.service");
  CHECK_FALSE(found.exists);
  CHECK(find_data_root(root.path + "/./x/../", config).path == root.path);
  CHECK(find_data_root(root.path, config).source == "flag --data-root");
}

TEST_CASE("a folder <uid>.<gid> is a remapped root") {
  TempDir root;
  root.make("100000.200000");
  DataRoot found = find_data_root(root.path + "/100000.200000", {});
  CHECK(found.owner.uid == 100000);
  CHECK(found.owner.gid == 200000);
  CHECK(find_data_root(root.path, {}).owner.uid == 0);
}

TEST_CASE("the engine's lock") {
  TempDir root;
  CHECK_FALSE(EngineLock::held(root.path));
  CHECK(Dir::open(root.path).list().empty());  // asking makes nothing
  CHECK_FALSE(EngineLock::held(root.path + "/absent"));
  {
    auto lock = EngineLock::try_take(root.path);
    REQUIRE(lock);
    struct stat folder = Dir::open(root.path).stat("volumes");
    CHECK((folder.st_mode & 07777 & ~0701u) == 0);
    CHECK(EngineLock::held(root.path));
    CHECK_FALSE(EngineLock::try_take(root.path));
    try {
      EngineLock::take(root.path);
      FAIL("a held lock was taken");
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::in_use);
      CHECK(std::string(e.what()).find(root.path) != std::string::npos);
      CHECK_FALSE(e.hint().empty());
    }
  }
  CHECK_FALSE(EngineLock::held(root.path));
}

TEST_CASE("a lock file that is no file is refused, not followed") {
  TempDir root;
  root.make("volumes");
  Dir::open(root.path).sub("volumes").make_symlink("metadata.db", "/etc/hostname");
  CHECK_THROWS_AS(EngineLock::take(root.path), Error);
}
