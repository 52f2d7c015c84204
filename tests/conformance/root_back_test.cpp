// What a move to another root gives up, when it is given up or accepted: never what may be the only copy.
#include <doctest/doctest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "detect/json_edit.hpp"
#include "migrate/migration_folder.hpp"
#include "tests/conformance/move_host.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

namespace {

struct Loss {
  std::function<void(const MoveHost&)> lose;
  std::string message;
};

Dir old_root(const MoveHost& m) { return Dir::open(m.host.root()); }

bool has_volume(const std::string& root) {
  return fs::exists(root + "/volumes/data/_data/file") &&
         Dir::open(root + "/volumes/data/_data").read("file") == "a volume's";
}

}  // namespace

TEST_CASE("the new root is not given up where the old one has lost what was carried from it") {
  const Loss losses[] = {
      {[](const MoveHost& m) { old_root(m).remove_tree("volumes"); }, "/volumes` is missing or empty"},
      {[](const MoveHost& m) { old_root(m).sub("volumes").sub("data").sub("_data").clear(); },
       "/volumes/data` is missing or empty"},
      {[](const MoveHost& m) { old_root(m).remove_tree("swarm"); }, "/swarm` is missing or empty"},
      {[](const MoveHost& m) { old_root(m).sub("containers").clear(); }, "` is missing or empty"},
      {[](const MoveHost& m) { old_root(m).sub("overlay2").clear(); }, " is not in the home of overlay2"},
      {[](const MoveHost& m) { old_root(m).sub("image").sub("overlay2").remove_tree("layerdb"); },
       "/layerdb/mounts` is missing"},
      {[](const MoveHost& m) { old_root(m).remove_tree("image"); }, "is not all there"},
  };
  for (const Loss& loss : losses) {
    CAPTURE(loss.message);
    MoveHost move("xfs");
    check_done(move.migrate());
    loss.lose(move);
    Run refused = move.run_by_config({"rollback", "--yes"});
    CHECK(refused.code == 1);
    CHECK_MESSAGE(has(message_of(refused), loss.message), refused.err);
    CHECK(has(message_of(refused), "drover commit"));
    CHECK(has_volume(move.root));
    CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
  }
}

TEST_CASE("what is not wanted in either root, or was removed with the engine, does not keep a rollback") {
  MoveHost move("xfs");
  check_done(move.migrate());
  Dir::open(move.root + "/volumes").remove_tree("data");
  old_root(move).sub("volumes").remove_tree("data");
  // As an engine on the old root removes a container.
  Inventory before = read_inventory(old_root(move), DriverKind::overlay2, nullptr);
  const auto& [id, mount] = *before.mounts.begin();
  old_root(move).sub("image").sub("overlay2").sub("layerdb").sub("mounts").remove_tree(id);
  old_root(move).sub("containers").remove_tree(id);
  for (const LayerId& layer : files_of(mount)) old_root(move).sub("overlay2").remove_tree(layer);
  check_done(move.run_by_config({"rollback", "--yes"}));
  CHECK_FALSE(fs::exists(move.root));
  CHECK(move.host.exists("overlay2"));
}

TEST_CASE("neither layers that BuildKit alone knows of nor a broken new root keep a rollback") {
  for (const std::string lost :
       {"", "image", "image/overlay2/layerdb", "overlay2", "containers", "volumes"}) {
    CAPTURE(lost);
    MoveHost move("xfs");
    const std::string id = "abcdefghijklmnopqrstuvwx9";
    auto home = driver_entry(DriverKind::overlay2).open(move.host.path("overlay2"), {});
    home->create(id, std::nullopt, {}).root.write_new("file", "of a build", 0644);
    home->seal(id);
    check_done(move.migrate());
    REQUIRE(fs::exists(move.root + "/overlay2/" + id));
    if (!lost.empty()) fs::remove_all(move.root + "/" + lost);
    check_done(move.run_by_config({"rollback", "--yes"}));
    CHECK(fs::exists(move.host.path("overlay2/" + id + "/diff/file")));
    CHECK_FALSE(fs::exists(move.root));
    CHECK(has_volume(move.host.root()));
  }
}

TEST_CASE("a move without the configuration that it has kept is not rolled back") {
  MoveHost move("xfs");
  check_done(move.migrate());
  std::string id = fs::directory_iterator(move.root + "/drover")->path().filename();
  Dir::open(move.root + "/drover/" + id).remove_tree("kept");
  Run refused = move.run_by_config({"rollback", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "has no configuration that named"), refused.err);
  CHECK(has_volume(move.root));
}

TEST_CASE("a half-made new root that an engine may have run on is neither given up nor taken for whole") {
  MoveHost move("xfs");
  auto killed_at = [&](const std::string& where, std::vector<std::string> words) {
    auto kill_at = [&](const std::string& line) {
      if (has(line, where)) ::_exit(9);
    };
    REQUIRE(move.host.run_apart(words, kill_at) == "killed");
  };
  const std::string before = move.host.config();
  // Once all is proven, and again in the middle of it.
  killed_at("switching to", {"migrate", "--to-root", move.root, "--yes"});
  killed_at("copying all else", {"migrate", "--resume", "--yes"});
  move.host.write_config("{\"storage-driver\": \"overlay2\", \"data-root\": \"" + move.root + "\"}");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"migrate", "--resume", "--yes"}, {"rollback", "--yes"}}) {
    Run refused = move.run_by_config(words);
    CHECK(refused.code == 11);
    CHECK_MESSAGE(has(message_of(refused), "already, which is not whole yet"), refused.err);
    CHECK(fs::exists(move.root + "/overlay2"));
  }
  move.host.write_config(before);
  check_done(move.host.run({"rollback", "--yes"}));
  CHECK(move.host.damage() == "");
}

TEST_CASE(
    "a new root that was lived on while the journal had not yet said so is neither given up nor made anew") {
  MoveHost move("xfs");
  const std::string before = move.host.config();
  check_done(move.migrate());
  const std::string after = move.host.config();
  // As cut between the configuration's rename and the journal's word.
  MigrationFolder::find(Dir::open(move.root))->set_state(MigrationState::switching);
  SUBCASE("used, and the configuration taken back by somebody") {
    Dir root = Dir::open(move.root);
    root.sub("volumes").sub("data").sub("_data").write_new("since", "the only copy", 0644);
    root.make_path("tmp", 0711);  // an engine makes it anew whenever it starts
    move.host.write_config(before);
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"migrate", "--resume", "--yes"}, {"rollback", "--yes"}}) {
      Run refused = move.host.run(words);
      CHECK(refused.code == 11);
      CHECK_MESSAGE(has(message_of(refused), "an engine has run on the new root"), refused.err);
      CHECK(fs::exists(move.root + "/volumes/data/_data/since"));
    }
    move.host.write_config(after);
    check_done(move.run_by_config({"migrate", "--resume", "--yes"}));
    CHECK(fs::exists(move.root + "/volumes/data/_data/since"));
  }
  SUBCASE("the same, under another name of the folder") {
    const std::string alias = move.root + ".alias";
    fs::create_directory_symlink(move.root, alias);
    move.host.write_config("{\"storage-driver\": \"overlay2\", \"data-root\": \"" + alias + "\"}");
    check_done(move.run_by_config({"migrate", "--resume", "--yes"}));
  }
  SUBCASE("not used: it is made anew, or given up") {
    move.host.write_config(before);
    check_done(move.host.run({"rollback", "--yes"}));
    CHECK(move.host.damage() == "");
    CHECK_FALSE(fs::exists(move.root));
    return;
  }
  SUBCASE("not used, but the only copy of a volume by now") {
    move.host.write_config(before);
    old_root(move).remove_tree("volumes");
    Run refused = move.host.run({"rollback", "--yes"});
    CHECK(refused.code == 1);
    CHECK_MESSAGE(has(message_of(refused), "/volumes` is missing or empty"), refused.err);
    move.host.write_config(after);
  }
  CHECK(has_volume(move.root));
  CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
}

TEST_CASE("a commit that was cut within a container's folder goes on to its end") {
  MoveHost move("xfs");
  check_done(move.migrate());
  MigrationFolder::find(Dir::open(move.root))->set_state(MigrationState::committing);
  for (const DirEntry& container : old_root(move).sub("containers").list())
    old_root(move).sub("containers").sub(container.name).unlink("config.v2.json");
  check_done(move.run_by_config({"commit", "--yes"}));
  CHECK_FALSE(move.host.exists("containers"));
  CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
}

TEST_CASE("where drivers are tried out in the old root is not carried") {
  MoveHost move("xfs");
  old_root(move).make_path(".drover-probe-1", 0700);
  check_done(move.migrate());
  CHECK_FALSE(fs::exists(move.root + "/.drover-probe-1"));
  old_root(move).make_path(".drover-probe-2", 0700);
  check_done(move.run_by_config({"commit", "--yes"}));
}

TEST_CASE(
    "a commit goes on where some of the old root was deleted by hand, but not with what is still used") {
  MoveHost move("xfs");
  check_done(move.migrate());
  old_root(move).remove_tree("overlay2");
  Dir::open(move.root + "/volumes/data")
      .write_new("opts.json", "{\"MountDevice\":\"" + move.host.root() + "/volumes\"}", 0600);
  Run refused = move.run_by_config({"commit", "--yes"});
  CHECK(refused.code == 11);
  CHECK_MESSAGE(has(message_of(refused), "volume data uses `"), refused.err);
  CHECK(has_volume(move.host.root()));
  fs::remove(move.root + "/volumes/data/opts.json");
  check_done(move.run_by_config({"commit", "--yes"}));
  CHECK_FALSE(move.host.exists("volumes"));
  CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
}

TEST_CASE("a folder that is not the old root is not taken for one that was emptied") {
  MoveHost move("xfs");
  check_done(move.migrate());
  const std::string aside = move.host.root() + ".unmounted";
  fs::rename(move.host.root(), aside);
  fs::create_directory(move.host.root());
  for (const char* command : {"commit", "rollback"}) {
    Run refused = move.run_by_config({command, "--yes"});
    CHECK(refused.code == 1);
    CHECK_MESSAGE(has(message_of(refused), "filesystem mounted?"), refused.err);
    CHECK(has_volume(move.root));
  }
  // A commit that was cut, too, deletes nothing that lies under the mount point.
  Dir under = Dir::open(move.host.root());
  under.make_path("volumes/older/_data", 0755).write_new("file", "an older engine's", 0644);
  auto folder = MigrationFolder::find(Dir::open(move.root));
  folder->set_state(MigrationState::committing);
  folder.reset();
  check_done(move.run_by_config({"commit", "--yes"}));
  CHECK(fs::exists(move.host.root() + "/volumes/older/_data/file"));
  CHECK(has_volume(aside));
}

TEST_CASE("a copy that was not switched to is not given up where the old root is out of sight") {
  MoveHost move("xfs");
  auto kill_at = [&](const std::string& line) {
    if (has(line, "switching to")) ::_exit(9);
  };
  REQUIRE(move.host.run_apart({"migrate", "--to-root", move.root, "--yes"}, kill_at) == "killed");
  const std::string aside = move.host.root() + ".unmounted";
  fs::rename(move.host.root(), aside);
  fs::create_directory(move.host.root());
  Run refused = run_on(move.root, fs::path(move.host.root()).parent_path() / "daemon.json",
                       {"rollback", "--yes"}, nullptr);
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "filesystem mounted?"), refused.err);
  CHECK(has_volume(move.root));
  fs::remove(move.host.root());
  fs::rename(aside, move.host.root());
  check_done(move.host.run({"rollback", "--yes"}));
  CHECK(move.host.damage() == "");
}

TEST_CASE("a container that runs on the new root keeps a rollback, from whichever root it is asked for") {
  MoveHost move("xfs");
  check_done(move.migrate());
  Dir containers = Dir::open(move.root + "/containers");
  const std::string id = containers.list().front().name;
  Dir container = containers.sub(id);
  const std::string text = container.read("config.v2.json");
  container.write_atomic(
      "config.v2.json",
      json_set(text, "State", "{\"Running\":true,\"Pid\":" + std::to_string(::getpid()) + "}"), 0600);
  // By its mounts a process is known for a container's.
  const std::string mounted = fs::path(move.root).parent_path() / id;
  fs::create_directory(mounted);
  REQUIRE(::mount("none", mounted.c_str(), "tmpfs", 0, nullptr) == 0);
  for (const std::string& root : {move.root, move.host.root()}) {
    Run refused = run_on(root, fs::path(move.host.root()).parent_path() / "daemon.json",
                         {"rollback", "--yes"}, nullptr);
    CHECK(refused.code == 11);
    CHECK_MESSAGE(has(message_of(refused), "still runs"), refused.err);
  }
  REQUIRE(::umount(mounted.c_str()) == 0);
  check_done(move.run_by_config({"rollback", "--yes"}));
}

TEST_CASE("a default ACL above the new root, or in the old one, gives nothing to what is carried") {
  // user::rwx, user:5:rwx, group::r-x, mask::rwx, other::r-x
  const std::string acl(
      "\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x07\0\x05\0\0\0\x04\0\x05\0\xff\xff\xff\xff"
      "\x10\0\x07\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff",
      44);
  MoveHost move("xfs");
  Dir above = Dir::open(fs::path(move.root).parent_path());
  above.set_xattr("", "system.posix_acl_default", acl);
  above.make_path("has one", 0711);
  Run refused = move.host.run({"migrate", "--to-root", above.path() + "/has one", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "has a default ACL"), refused.err);
  for (const char* folder : {"", "image", "containers"})
    old_root(move).set_xattr(folder, "system.posix_acl_default", acl);
  for (const DirEntry& container : old_root(move).sub("containers").list())
    old_root(move).sub("containers").set_xattr(container.name, "system.posix_acl_default", acl);
  auto kill_at = [&](const std::string& line) {
    if (has(line, "switching to")) ::_exit(9);
  };
  REQUIRE(move.host.run_apart({"migrate", "--to-root", move.root, "--yes"}, kill_at) == "killed");
  check_done(move.host.run({"migrate", "--resume", "--yes"}));
  CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
  CHECK(Dir::open(move.root).xattr("", "system.posix_acl_default") == acl);
  check_done(move.run_by_config({"commit", "--yes"}));

  SampleHost host(filesystem("ext4"));
  Dir::open(host.root()).set_xattr("", "system.posix_acl_default", acl);
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  CHECK(host.losses(DriverKind::vfs) == "");
}

TEST_CASE("the configuration keeps its attributes, there and back") {
  MoveHost move("xfs");
  Dir folder = Dir::open(fs::path(move.host.root()).parent_path());
  // user::rw-, user:1234:r--, group::---, mask::r--, other::---
  const std::string acl(
      "\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xd2\x04\0\0\x04\0\0\0\xff\xff\xff\xff"
      "\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff",
      44);
  folder.set_xattr("daemon.json", "system.posix_acl_access", acl);
  folder.set_xattr("daemon.json", "security.selinux", "system_u:object_r:container_config_t:s0");
  const auto before = folder.xattrs("daemon.json");
  check_done(move.migrate());
  CHECK(folder.xattrs("daemon.json") == before);
  check_done(move.run_by_config({"rollback", "--yes"}));
  CHECK(folder.xattrs("daemon.json") == before);
  CHECK(move.host.damage() == "");
}
