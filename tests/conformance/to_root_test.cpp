// A move of the whole data root to another filesystem as a user runs it: nothing of the old one is touched,
// nothing is lost on the way, and every cut is gone on from.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "migrate/migration_folder.hpp"
#include "migrate/root_paths.hpp"
#include "migrate/stage_records.hpp"
#include "tests/conformance/move_host.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

TEST_CASE("a data root moves to another filesystem, whole, and the old one is not touched") {
  struct Way {
    const char *filesystem, *to;
  };
  for (const Way& way :
       {Way{"xfs", ""}, Way{"xfs", "vfs"}, Way{"btrfs", "btrfs"}, Way{"btrfs", ""}, Way{"ext4", ""}}) {
    if (!filesystem(way.filesystem).missing.empty()) continue;
    CAPTURE(std::string(way.filesystem));
    CAPTURE(std::string(way.to));
    MoveHost move(way.filesystem);
    DriverKind to = *way.to ? find_driver(way.to)->kind : DriverKind::overlay2;
    for (bool keep : {false, true}) {
      Run moved = move.migrate(way.to);
      check_done(moved);
      CHECK(has(moved.out, "Moved from " + move.host.root() + " to " + move.root));
      CHECK(has(moved.out, "untouched in " + move.host.root()));
      move.check_untouched();
      move.check_carried();
      CHECK(move.host.losses(to, move.root) == "");
      CHECK(has(move.host.config(), "\"data-root\": \"" + move.root + "\""));
      CHECK(has(move.host.config(), "\"storage-driver\": \"" + std::string(driver_name(to)) + "\""));
      CHECK(has(move.host.config(), "\"log-level\": \"warn\""));
      check_done(move.run_by_config({"verify"}));
      // Found from both roots.
      for (const Run& info :
           {move.run_by_config({"info", "--no-size"}), move.host.run({"info", "--no-size"})}) {
        CHECK(has(info.out, "To Root: " + move.root));
        CHECK(has(info.out, "switched"));
      }
      Run again = move.migrate(way.to);
      CHECK(again.code == 11);
      if (keep) break;
      Run back = move.run_by_config({"rollback", "--yes"});
      check_done(back);
      CHECK(back.out == "rolled back to " + move.host.root() + "; start the engine\n");
      CHECK_FALSE(fs::exists(move.root));
      CHECK_FALSE(move.host.exists("drover"));
      move.check_untouched();
      CHECK(move.host.damage() == "");
    }
    Run done = move.run_by_config({"commit", "--yes"});
    check_done(done);
    std::vector<std::string> left;
    for (const DirEntry& entry : Dir::open(move.host.root()).list()) left.push_back(entry.name);
    CHECK(left == std::vector<std::string>{"lost+found"});
    CHECK_FALSE(fs::exists(move.root + "/drover"));
    CHECK(move.host.losses(to, move.root) == "");
    check_done(move.run_by_config({"verify"}));
  }
}

TEST_CASE("a plan of a move is printed and nothing is made") {
  MoveHost move("xfs");
  Run run = move.host.run({"migrate", "--to-root", move.root, "--dry-run"});
  check_done(run);
  for (const std::string& part :
       {"New Data Root: " + move.root, std::string("From: overlay2"), std::string("To: overlay2"),
        std::string("Volumes: 1"), std::string("Image Layers By: copies"), std::string("not-an-engines"),
        "+  \"data-root\": \"" + move.root + "\""}) {
    CAPTURE(part);
    CHECK(has(run.out, part));
  }
  Run json = move.host.run({"migrate", "--to-root", move.root, "--dry-run", "--format", "json"});
  check_done(json);
  CHECK(has(json.out, "\"to_root\": \"" + move.root + "\""));
  CHECK(has(json.out, "\"volumes\": 1"));
  CHECK_FALSE(fs::exists(move.root));
  CHECK_FALSE(move.host.exists("drover"));
  move.check_untouched();
}

TEST_CASE("a move that is cut anywhere is gone on with, or given up") {
  const char* cuts[] = {"\"done\":2,", "copying all else", "proving it byte by byte", "switching to"};
  for (const char* cut : cuts) {
    for (const char* way : {"resume", "rollback"}) {
      CAPTURE(std::string(cut));
      CAPTURE(std::string(way));
      MoveHost move("xfs");
      auto kill_at = [&](const std::string& line) {
        if (has(line, cut)) ::_exit(9);
      };
      REQUIRE(move.host.run_apart({"migrate", "--to-root", move.root, "--yes", "--jobs", "1"}, kill_at) ==
              "killed");
      CHECK(move.host.damage() == "");
      move.check_untouched();
      Run info = move.host.run({"info", "--no-size"});
      CHECK(has(info.out, "staging"));
      CHECK(move.host.run({"migrate", "--to", "vfs", "--yes"}).code == 11);
      CHECK(move.host.run({"commit", "--yes"}).code == 1);
      if (std::string(way) == "resume") {
        Dir::open(move.host.path("volumes/data/_data")).write_new("since", "by an engine", 0644);
        check_done(move.host.run({"migrate", "--resume", "--yes"}));
        CHECK(Dir::open(move.root + "/volumes/data/_data").read("since") == "by an engine");
        move.check_carried();
        CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
        check_done(move.host.run({"rollback", "--yes"}));
      } else {
        check_done(move.host.run({"rollback", "--yes"}));
        move.check_untouched();
      }
      CHECK_FALSE(fs::exists(move.root));
      CHECK_FALSE(move.host.exists("drover"));
      CHECK(move.host.damage() == "");
    }
  }
}

TEST_CASE("a new root that is not there any more is asked for") {
  MoveHost move("xfs");
  check_done(move.migrate());
  fs::rename(move.root, move.root + ".unmounted");
  Run lost = move.host.run({"rollback", "--yes"});
  CHECK(lost.code == 1);
  CHECK(has(message_of(lost), "is the new root's filesystem mounted?"));
  fs::rename(move.root + ".unmounted", move.root);
  check_done(move.host.run({"rollback", "--yes"}));
  CHECK(move.host.damage() == "");
}

TEST_CASE("mounts in the old root are named and refused") {
  MoveHost move("xfs");
  std::string own = move.host.path("volumes/data/_data");
  REQUIRE(::mount("tmpfs", own.c_str(), "tmpfs", 0, nullptr) == 0);
  Run run = move.migrate();
  REQUIRE(::umount(own.c_str()) == 0);
  CHECK(run.code == 11);
  CHECK(has(message_of(run), "there are mounts in `" + move.host.root() + "`: `" + own + "`"));
  CHECK(has(message_of(run), "hint: "));
  CHECK_FALSE(fs::exists(move.root));
  CHECK_FALSE(move.host.exists("drover"));
  move.check_untouched();
}

TEST_CASE("an empty folder is a new root too, and is empty again after a rollback but for what is not ours") {
  MoveHost move("xfs");
  fs::create_directories(move.root + "/lost+found");
  REQUIRE(::chmod(move.root.c_str(), 0755) == 0);
  check_done(move.migrate());
  // One of them in the old root, too, since: that does not make it one that was carried.
  std::ofstream(move.root + "/mine") << "an admin's";
  for (const std::string& root : {move.root, move.host.root()}) fs::create_directory(root + "/in both");
  std::ofstream(move.root + "/in both/file") << "an admin's";
  Run back = move.run_by_config({"rollback", "--yes"});
  check_done(back);
  CHECK(fs::exists(move.root + "/mine"));
  CHECK(fs::exists(move.root + "/in both/file"));
  fs::remove(move.root + "/mine");
  fs::remove_all(move.root + "/in both");
  CHECK((Dir::open(move.root).stat().st_mode & 07777) == 0755);
  auto left = Dir::open(move.root).list();
  REQUIRE(left.size() == 1);
  CHECK(left[0].name == "lost+found");
}

TEST_CASE("what a user has put into a half-made new root is not deleted") {
  MoveHost move("xfs");
  auto kill_at = [&](const std::string& line) {
    if (has(line, "proving it byte by byte")) ::_exit(9);
  };
  REQUIRE(move.host.run_apart({"migrate", "--to-root", move.root, "--yes"}, kill_at) == "killed");
  std::ofstream(move.root + "/mine") << "an admin's";
  Run refused = move.host.run({"migrate", "--resume", "--yes"});
  CHECK(refused.code == 1);
  CHECK(has(message_of(refused), "what the migration has not put there: `mine`"));
  fs::remove(move.root + "/mine");
  check_done(move.host.run({"migrate", "--resume", "--yes"}));
}

TEST_CASE("the old root is deleted only where it is unused, unchanged, and not the only copy") {
  struct Loss {
    std::function<void(const MoveHost&)> lose;
    std::string message;
  };
  const Loss losses[] = {
      {[](const MoveHost& m) { Dir::open(m.root).remove_tree("overlay2"); }, "/overlay2` is missing"},
      {[](const MoveHost& m) { Dir::open(m.root).remove_tree("volumes"); }, "/volumes` is missing"},
      {[](const MoveHost& m) { m.host.write_config("{\"storage-driver\": \"overlay2\"}"); },
       "does not name the new root"},
      {[](const MoveHost& m) { Dir::open(m.host.root()).make_dir("runtimes", 0711); },
       "has changed since the switch"},
      {[](const MoveHost& m) {
         Dir::open(m.root + "/volumes/data")
             .write_new("opts.json", "{\"MountDevice\":\"" + m.host.root() + "/volumes\"}", 0600);
       },
       "volume data uses `"},
      {[](const MoveHost& m) {
         Dir layers = Dir::open(m.root + "/overlay2");
         for (const DirEntry& entry : layers.list())
           if (auto diff = layers.sub(entry.name).try_sub("diff")) diff->clear();
       },
       " is empty in `"},
  };
  for (const Loss& loss : losses) {
    CAPTURE(loss.message);
    MoveHost move("xfs");
    check_done(move.migrate());
    loss.lose(move);
    Run refused = move.host.run({"commit", "--yes"});
    CHECK(refused.code != 0);
    CHECK_MESSAGE(has(message_of(refused), loss.message), refused.err);
    CHECK(Dir::open(move.host.path("volumes/data/_data")).read("file") == "a volume's");
    check_done(move.host.run({"rollback", "--yes"}));
    if (!has(loss.message, "does not name")) CHECK(move.host.damage() == "");
  }
}

TEST_CASE("a commit that was cut does not go on while the configuration names the old root") {
  MoveHost move("xfs");
  check_done(move.migrate());
  auto folder = MigrationFolder::find(Dir::open(move.root));
  REQUIRE(folder);
  folder->set_state(MigrationState::committing);
  folder.reset();
  std::string named = move.host.config();
  move.host.write_config("{\"storage-driver\": \"overlay2\"}");
  Run refused = move.host.run({"commit", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "does not name the new root"), refused.err);
  CHECK(Dir::open(move.host.path("volumes/data/_data")).read("file") == "a volume's");
  move.host.write_config(named);
  check_done(move.host.run({"commit", "--yes"}));
  CHECK_FALSE(move.host.exists("volumes"));
}

TEST_CASE("another driver's store stays behind, with its containers, and outlives a commit") {
  MoveHost move("xfs");
  Dir old_root = Dir::open(move.host.root());
  old_root.make_path("vfs/dir/" + std::string(64, 'b'), 0755).write_new("file", "of another store", 0644);
  old_root.make_path("image/vfs", 0700).write_new("repositories.json", "{}", 0600);
  std::string id(64, 'c');
  old_root.make_path("containers/" + id, 0710)
      .write_new("config.v2.json", "{\"ID\":\"" + id + "\",\"Name\":\"/hidden\",\"Driver\":\"vfs\"}", 0600);
  Run moved = move.migrate();
  check_done(moved);
  CHECK(has(moved.out, "the store of vfs, which is not in use"));
  CHECK(has(moved.out, "container hidden, which is one of vfs"));
  CHECK_FALSE(fs::exists(move.root + "/vfs"));
  CHECK_FALSE(fs::exists(move.root + "/containers/" + id));
  check_done(move.host.run({"commit", "--yes"}));
  CHECK(move.host.exists("vfs/dir/" + std::string(64, 'b') + "/file"));
  CHECK(move.host.exists("image/vfs/repositories.json"));
  CHECK(move.host.exists("containers/" + id + "/config.v2.json"));
  CHECK_FALSE(move.host.exists("overlay2"));
  CHECK_FALSE(move.host.exists("volumes"));
}

TEST_CASE("new roots that cannot be meant are refused before anything is done") {
  MoveHost move("ext4");
  std::string old_root = move.host.root(), above = fs::path(old_root).parent_path();
  fs::create_directory_symlink(move.place.path(), move.place.path() + "/link");
  fs::create_directories(move.place.path() + "/full/inside");
  std::ofstream(move.place.path() + "/a-file") << "";
  struct Wrong {
    std::string dir;
    int code;
    std::string message;
  };
  const Wrong wrong[] = {
      {"relative", 2, "it is no absolute path"},
      {"/", 2, "it is the host's root"},
      {old_root, 2, "it is the data root"},
      {old_root + "/", 2, "it is the data root"},
      {old_root + "/volumes/new", 2, "it lies in the data root"},
      {above, 2, "lies in it"},
      {move.place.path() + "/link", 2, "it is a symlink"},
      {move.place.path() + "/a-file", 2, "it is no folder"},
      {move.place.path() + "/full", 1, "is not empty: there is `inside`"},
      {move.place.path() + "/absent/new", 1, "is the filesystem mounted"},
      {move.place.path() + "/\x01", 2, "cannot hold such a name"},
  };
  for (const Wrong& one : wrong) {
    CAPTURE(one.dir);
    Run run = move.host.run({"migrate", "--to-root", one.dir, "--yes"});
    CHECK(run.code == one.code);
    CHECK_MESSAGE(has(message_of(run), one.message), run.err);
  }
  std::string alias = move.place.path() + "/alias";
  fs::create_directory(alias);
  REQUIRE(::mount(old_root.c_str(), alias.c_str(), nullptr, MS_BIND, nullptr) == 0);
  Run bound = move.host.run({"migrate", "--to-root", alias + "/new", "--yes"});
  REQUIRE(::umount(alias.c_str()) == 0);
  CHECK(has(message_of(bound), "it lies in the data root"));
  Run zfs = move.host.run({"migrate", "--to-root", move.root, "--to", "devicemapper", "--yes"});
  CHECK(zfs.code == 10);
  CHECK(has(message_of(zfs), "its layers do not lie in the data root"));
  move.check_untouched();
  CHECK_FALSE(move.host.exists("drover"));
}

TEST_CASE("a root of userns-remap moves as the engine names its roots") {
  MoveHost move("xfs");
  std::string mapped = fs::path(move.host.root()).parent_path().string() + "/up/100000.100000";
  fs::create_directories(fs::path(mapped).parent_path());
  fs::rename(move.host.root(), mapped);
  std::string config = fs::path(move.host.root()).parent_path().string() + "/daemon.json";
  auto run = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--config", config, "--data-root", mapped, "--yes"});
    return run_drover(words);
  };
  check_done(run({"migrate", "--to-root", move.root}));
  CHECK(has(move.host.config(), "\"data-root\": \"" + move.root + "\""));
  CHECK(fs::exists(move.root + "/100000.100000/volumes/data/_data/file"));
  CHECK(Dir::open(move.root + "/100000.100000/overlay2").stat().st_gid == 100000);
  check_done(run({"rollback"}));
  CHECK_FALSE(fs::exists(move.root));
  fs::rename(mapped, move.host.root());
}

TEST_CASE("a move that is refused when it has begun says why, though what it began cannot be removed") {
  MoveHost move("ext4");
  fs::create_directories(move.root);
  Dir above = Dir::open(move.host.root()).make_path("drover", 0700);
  above.write_new("note", "of the admin's", 0600);
  auto set_flags = [&](int flags) {
    Fd folder(::open(above.path().c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(::ioctl(folder.get(), FS_IOC_SETFLAGS, &flags) == 0);
  };
  set_flags(FS_APPEND_FL);  // what is in it cannot be removed
  Fd other(::open(move.root.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(::flock(other.get(), LOCK_EX | LOCK_NB) == 0);
  Run refused = move.migrate("");
  set_flags(0);
  CHECK(refused.code == 11);
  CHECK(has(refused.err, "drover: another drover is at work in `" + move.root + "`"));
  other = Fd();
  check_done(move.migrate(""));
}
