// A plan is a file in a data root: it is obeyed only in the root, and for the configuration, that it is
// about.
#include <doctest/doctest.h>
#include <sys/mount.h>

#include <filesystem>

#include "migrate/migration_folder.hpp"
#include "tests/conformance/move_host.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

namespace {

std::string folder_of(const std::string& root) {
  return fs::directory_iterator(root + "/drover")->path().string();
}

void set_state(const std::string& root, MigrationState state) {
  MigrationFolder::find(Dir::open(root))->set_state(state);
}

std::string config_of(const MoveHost& move) {
  return fs::path(move.host.root()).parent_path() / "daemon.json";
}

}  // namespace

TEST_CASE("a plan that is about another root is not obeyed, whatever it says is to be done") {
  MoveHost move("xfs");
  check_done(move.migrate());
  const std::string copy = fs::path(move.root).parent_path() / "forged";
  fs::create_directories(copy + "/image/overlay2");
  fs::copy(move.root + "/drover", copy + "/drover", fs::copy_options::recursive);
  for (MigrationState state : {MigrationState::staging, MigrationState::switching, MigrationState::switched,
                               MigrationState::rolling_back, MigrationState::committing}) {
    CAPTURE(std::string(state_name(state)));
    Journal::open(Dir::open(folder_of(copy))).state(state);
    for (const std::vector<std::string>& words : {std::vector<std::string>{"rollback", "--yes"},
                                                  {"commit", "--yes"},
                                                  {"migrate", "--resume", "--yes"}}) {
      Run refused = run_on(copy, config_of(move), words, nullptr);
      CHECK(refused.code == 1);
      CHECK_MESSAGE(has(message_of(refused), "is about `" + move.root + "`"), refused.err);
    }
  }
  CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
  CHECK(fs::exists(move.host.path("overlay2")));
}

TEST_CASE("a commit does not take the new root for the old one that its path leads to by now") {
  MoveHost move("xfs");
  check_done(move.migrate());
  const std::string old = move.host.root(), aside = old + ".aside";
  fs::rename(old, aside);
  bool mounted = false;
  SUBCASE("by a symlink") { fs::create_directory_symlink(move.root, old); }
  SUBCASE("by a mount") {
    fs::create_directory(old);
    REQUIRE(::mount(move.root.c_str(), old.c_str(), nullptr, MS_BIND, nullptr) == 0);
    mounted = true;
  }
  const Dir folder = Dir::open(folder_of(move.root));
  for (MigrationState state : {MigrationState::switched, MigrationState::committing}) {
    Journal::open(folder).state(state);
    for (const char* verb : {"commit", "rollback"}) {
      Run refused = move.run_by_config({verb, "--yes"});
      CHECK(refused.code == 1);
      CHECK_MESSAGE(has(message_of(refused), "leads to the new root"), refused.err);
      CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
    }
  }
  if (mounted) REQUIRE(::umount(old.c_str()) == 0);
  fs::remove(old);
  check_done(move.run_by_config({"commit", "--yes"}));
  CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
  CHECK_FALSE(fs::exists(move.root + "/drover"));
}

TEST_CASE("a commit deletes nothing that a container or volume uses by another name of the old root") {
  MoveHost move("xfs");
  check_done(move.migrate());
  const std::string old = move.host.root(), elsewhere = old + ".elsewhere";
  std::string path;
  bool mounted = false;
  SUBCASE("a symlink") {
    fs::create_directory_symlink(old, elsewhere);
    path = elsewhere + "/volumes/data/_data";
  }
  SUBCASE("a folder in it that is mounted elsewhere") {
    fs::create_directory(elsewhere);
    REQUIRE(::mount((old + "/volumes/data").c_str(), elsewhere.c_str(), nullptr, MS_BIND, nullptr) == 0);
    mounted = true;
    path = elsewhere + "/_data";
  }
  Dir::open(move.root + "/volumes/data")
      .write_new("opts.json", "{\"MountOpts\":\"lowerdir=/x,upperdir=" + path + "\"}", 0600);
  Run refused = move.run_by_config({"commit", "--yes"});
  CHECK(refused.code == 11);
  CHECK_MESSAGE(has(message_of(refused), "volume data uses `" + path), refused.err);
  CHECK(fs::exists(old + "/volumes/data/_data/file"));
  if (mounted) REQUIRE(::umount(elsewhere.c_str()) == 0);
  fs::remove(move.root + "/volumes/data/opts.json");
  check_done(move.run_by_config({"commit", "--yes"}));
}

TEST_CASE("an old root that cannot be written is neither committed nor gone back to") {
  MoveHost move("xfs");
  check_done(move.migrate());
  const std::string old = move.host.root();
  REQUIRE(::mount(old.c_str(), old.c_str(), nullptr, MS_BIND, nullptr) == 0);
  REQUIRE(::mount("none", old.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0);
  for (const char* verb : {"commit", "rollback"}) {
    Run refused = move.run_by_config({verb, "--yes"});
    CHECK(refused.code == 1);
    CHECK_MESSAGE(has(message_of(refused), "read-only"), refused.err);
    CHECK(Journal::read(Dir::open(folder_of(move.root))).state == MigrationState::switched);
  }
  REQUIRE(::umount(old.c_str()) == 0);
  check_done(move.run_by_config({"commit", "--yes"}));
  CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
}
