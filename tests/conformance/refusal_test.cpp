// What drover refuses, and how it says so: wrong use, a root in use, damage, things that came into being
// since.
#include <doctest/doctest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "drivers/sys/btrfs_ioctl.hpp"
#include "migrate/verify.hpp"
#include "tests/conformance/place.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/support/sample_root.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

TEST_CASE("wrong use has its exit code and changes nothing") {
  SampleHost host(filesystem("ext4"));
  struct Wrong {
    std::vector<std::string> words;
    int code;
    std::string message;
  };
  const Wrong wrong[] = {
      {{"migrate"}, 2, "drover: there is no driver to move to\nhint: name it: --to DRIVER"},
      {{"migrate", "--to", "ext4"}, 2, "drover: there is no storage driver `ext4`\nhint: one of overlay2,"},
      {{"migrate", "--to", "overlay2"}, 2, "drover: the data is in overlay2 already"},
      {{"migrate", "--to", "vfs"}, 2, "drover: there is no terminal to ask on, so nothing was changed"},
      {{"migrate", "--to", "vfs", "--dry-run", "--resume"}, 2, "drover: --dry-run excludes --resume"},
      {{"migrate", "--to", "vfs", "--jobs", "0"}, 2, "drover: --jobs: "},
      {{"migrate", "--to", "vfs", "--colour"}, 2, "drover: "},
      {{"migrate", "--to", "btrfs", "--yes"}, 10, "drover: cannot use btrfs on " + host.root() + ": "},
      {{"frob"}, 2, "drover: there is no command `frob`"},
      {{"migrate", "--to", "vfs", "--offline"},
       2,
       "drover: --offline is a way to read devicemapper's layers"},
      {{"migrate", "--to", "vfs", "--from", "btrfs", "--yes"}, 1, "has no records of btrfs (image/btrfs)"},
      {{"migrate", "--resume", "--yes"}, 1, "drover: there is no migration to resume in `"},
      {{"commit", "--yes"}, 1, "drover: there is no migration in `"},
      {{"rollback", "--yes"}, 1, "drover: there is no migration in `"},
      {{"verify", "no-such-thing"}, 1, "drover: there is no image, container or layer `no-such-thing`"},
      {{"verify", "--driver", "zzz"}, 2, "drover: there is no storage driver `zzz`"},
  };
  for (const Wrong& one : wrong) {
    CAPTURE(one.words);
    Run run = host.run(one.words);
    CHECK_MESSAGE(run.code == one.code, run.err);
    CHECK_MESSAGE(has(message_of(run), one.message), run.err);
    CHECK(has(message_of(run), "\nhint: "));
  }
  CHECK(host.damage() == "");
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("what is no data root is refused") {
  TestFolder folder(filesystem("ext4"));
  for (const std::string& root : {folder.path() + "/none", folder.path()}) {
    for (const char* verb : {"migrate", "rollback", "commit"}) {
      std::vector<std::string> words = {verb, "--yes", "--data-root", root, "--config", folder.path() + "/c"};
      if (verb == std::string("migrate")) words.insert(words.end(), {"--to", "vfs"});
      Run run = run_drover(words);
      CHECK(run.code == 1);
      CHECK(has(run.err, root == folder.path() ? "` is no engine's data root" : "there is no data root `"));
    }
  }
  CHECK(Dir::open(folder.path()).list().empty());
}

TEST_CASE("an engine that runs is left alone") {
  SampleHost host(filesystem("ext4"));
  Dir::open(host.root()).make_path("volumes", 0701).write_new("metadata.db", "", 0600);
  Fd engine = Dir::open(host.path("volumes")).open_file("metadata.db", O_RDWR);
  REQUIRE(::flock(engine.get(), LOCK_EX) == 0);
  for (const std::vector<std::string>& words : {std::vector<std::string>{"migrate", "--to", "vfs", "--yes"},
                                                {"migrate", "--resume", "--yes"},
                                                {"rollback", "--yes"}}) {
    CAPTURE(words);
    Run run = host.run(words);
    CHECK(run.code == 11);
    CHECK(has(run.err, "the data root `" + host.root() + "` is in use by "));
    CHECK(has(run.err, "\nhint: "));
  }
  check_done(host.run({"migrate", "--to", "vfs", "--dry-run"}));
  check_done(host.run({"verify"}));
  CHECK(host.damage() == "");
  engine.reset();
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
}

TEST_CASE("a second drover is locked out") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  Dir folder = Dir::open(host.migration());
  REQUIRE(::flock(folder.fd(), LOCK_EX) == 0);
  for (const char* verb : {"commit", "rollback"}) {
    Run run = host.run({verb, "--yes"});
    CHECK(run.code == 11);
    CHECK(has(run.err, "another drover is at work in `" + host.migration() + "`"));
  }
  CHECK(host.losses(DriverKind::vfs) == "");
}

TEST_CASE("a damaged layer is found, named, and carried only when that is asked for") {
  SampleHost host(filesystem("ext4"));
  auto home = driver_entry(DriverKind::overlay2).open(host.path("overlay2"), {});
  for (const LayerId& id : home->layers())
    if (auto found = home->open(id).root.try_sub("opt"))
      if (auto app = found->try_sub("app"); app && app->exists("data")) {
        Fd file = app->open_file("data", O_WRONLY);
        REQUIRE(::pwrite(file.get(), "damage", 6, 1000) == 6);
      }
  Run verified = host.run({"verify"});
  CHECK(verified.code == 12);
  CHECK(has(verified.out, "Damaged: layer "));
  CHECK(has(verified.out, "opt/app/data"));
  CHECK(has(verified.out, "(needed by "));
  CHECK(has(verified.out, "sample-app:slim"));
  CHECK(has(message_of(verified), "has 1 damage\nhint: "));
  CHECK(host.run({"verify", "sample-base:1"}).code == 0);
  CHECK(host.run({"verify", "worker"}).code == 12);

  Run refused = host.run({"migrate", "--to", "vfs", "--yes"});
  CHECK(refused.code == 12);
  CHECK(has(message_of(refused), "is damaged in the source already: "));
  CHECK(host.state() == MigrationState::staging);
  check_done(host.run({"rollback", "--yes"}));

  Run forced = host.run({"migrate", "--to", "vfs", "--yes", "--force"});
  CHECK(forced.code == 3);
  CHECK(has(forced.out, "Damaged Before: image layer "));
  check_done(host.run({"rollback", "--yes"}));
}

TEST_CASE("damaged records are refused before anything is made") {
  SampleHost host(filesystem("ext4"));
  auto home = driver_entry(DriverKind::overlay2).open(host.path("overlay2"), {});
  home->remove(home->layers().front());
  Run run = host.run({"migrate", "--to", "vfs", "--yes"});
  CHECK(run.code == 1);
  CHECK(has(message_of(run), "drover: Docker's records are damaged: "));
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("whose data the engine does not show is said, and how to move it") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  check_done(host.run({"commit", "--yes"}));
  host.write_config("{\"storage-driver\": \"overlay2\"}");
  Run run = host.run({"migrate", "--to", "overlay2", "--yes"});
  CHECK(run.code == 2);
  CHECK(message_of(run) ==
        "drover: the engine is set to overlay2, whose store is empty; the data is in vfs\n"
        "hint: say where to move from: --from vfs\n");
  Run named = host.run({"migrate", "--from", "vfs", "--to", "vfs", "--yes"});
  CHECK(named.code == 2);
  CHECK(has(message_of(named), "the data is in vfs already"));
  check_done(host.run({"migrate", "--from", "vfs", "--to", "overlay2", "--yes"}));
  CHECK(host.losses(DriverKind::overlay2) == "");
}

TEST_CASE("what is in the target's place and no engine made is not deleted") {
  SampleHost host(filesystem("ext4"));
  Dir root = Dir::open(host.root());
  auto refused = [&](const std::string& says) {
    Run run = host.run({"migrate", "--to", "vfs", "--yes"});
    CHECK(run.code == 1);
    CHECK_MESSAGE(has(message_of(run), says), run.err);
    CHECK_FALSE(host.exists("drover"));
  };
  root.make_path("image/vfs/imagedb/content/sha256", 0700);
  root.make_path("image/vfs/distribution/v2metadata-by-diffid/sha256", 0700);
  Dir dir = root.make_path("vfs/dir", 0710);
  Dir backup = root.make_path("vfs/backup", 0755);
  backup.write_new("f", "", 0644);
  refused("there is in the way what no engine with vfs has made: `" + host.path("vfs/backup") +
          "`\nhint: move");
  root.sub("vfs").remove_tree("backup");
  dir.write_new("precious", "", 0644);
  refused("has made: `" + host.path("vfs/dir/precious") + "`\n");
  dir.unlink("precious");
  root.walk("image/vfs").write_new("notes", "", 0644);
  refused("has made: `" + host.path("image/vfs/notes") + "`\n");
  root.walk("image/vfs").unlink("notes");
  Dir home = root.sub("vfs");
  root.rename("vfs", root, "elsewhere");
  root.make_symlink("vfs", "elsewhere");
  refused("`" + host.path("vfs") + "` is no folder but a symlink");
  root.unlink("vfs");
  root.write_new("vfs", "", 0644);
  refused("`" + host.path("vfs") + "` is no folder but a file");
  root.unlink("vfs");
  root.rename("elsewhere", root, "vfs");
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
}

TEST_CASE("what lies behind a symlink is named, and not called damaged") {
  SampleHost host(filesystem("ext4"));
  LayerId layer = host.inventory().mounts.begin()->second.mount_id;
  for (const std::string& place :
       {"containers/" + host.inventory().containers.begin()->first, "overlay2/" + layer,
        "overlay2/" + layer + "/diff", std::string("overlay2/l"), std::string("image"),
        std::string("image/overlay2"), std::string("volumes"), std::string("buildkit")}) {
    CAPTURE(place);
    Dir root = Dir::open(host.root());
    if (!host.exists(place)) root.make_dir(place, 0711);
    REQUIRE(::rename(host.path(place).c_str(), (host.root() + ".moved").c_str()) == 0);
    REQUIRE(::symlink((host.root() + ".moved").c_str(), host.path(place).c_str()) == 0);
    Run run = host.run({"migrate", "--to", "vfs", "--yes"});
    CHECK(run.code == 1);
    std::string message = message_of(run);
    CHECK_MESSAGE(has(message, "symlink"), message);
    CHECK_MESSAGE(
        has(message, "hint: drover follows no symlink in a data root: put what `" + host.path(place)),
        message);
    CHECK_FALSE(has(message, "damaged"));
    REQUIRE(::unlink(host.path(place).c_str()) == 0);
    REQUIRE(::rename((host.root() + ".moved").c_str(), host.path(place).c_str()) == 0);
  }
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
}

TEST_CASE("what has come into being since the switch is told, and not written over") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  REQUIRE(::mkdir(host.path("overlay2").c_str(), 0710) == 0);
  Run blocked = host.run({"rollback", "--yes"});
  CHECK(blocked.code == 1);
  CHECK(has(message_of(blocked), "`" + host.root() + "/overlay2` has come into being since the switch"));
  CHECK(host.losses(DriverKind::vfs) == "");
  CHECK(host.state() == MigrationState::switched);
  REQUIRE(::rmdir(host.path("overlay2").c_str()) == 0);
  check_done(host.run({"rollback", "--yes"}));
  CHECK(host.damage() == "");
}

TEST_CASE("a configuration that the user edits between switch and rollback keeps the edits") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  host.write_config("{\n  \"log-level\": \"debug\",\n  \"storage-driver\": \"vfs\",\n  \"debug\": true\n}\n");
  check_done(host.run({"rollback", "--yes"}));
  CHECK(host.config() == "{\n  \"log-level\": \"debug\",\n  \"debug\": true\n}\n");
}

TEST_CASE("a filesystem without room is told of beforehand") {
  TestPlace place({"mkfs.ext4", "-q"}, "20M");
  REQUIRE(place.error == "");
  SampleHost host(TestFilesystem{"small", place.path, "", false});
  Run run = host.run({"migrate", "--to", "vfs", "--yes"});
  CHECK(run.code == 1);
  CHECK(has(message_of(run), "drover: not enough space on the filesystem of `" + host.root() + "`: up to "));
  CHECK(host.damage() == "");
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("records that nothing can be renamed into are told of beforehand") {
  if (!filesystem("btrfs").missing.empty()) {
    MESSAGE("SKIP: no subvolumes: " << filesystem("btrfs").missing);
    return;
  }
  SampleHost host(filesystem("btrfs"));
  Dir root = Dir::open(host.root());
  create_subvolume(root, "records");
  for (const DirEntry& entry : root.sub("image").list())
    fs::copy(host.path("image/" + entry.name), host.path("records/" + entry.name),
             fs::copy_options::recursive);
  root.remove_tree("image");
  root.rename("records", root, "image");
  Run refused = host.run({"migrate", "--to", "vfs", "--yes"});
  CHECK(refused.code == 10);
  CHECK_MESSAGE(has(message_of(refused), "is a subvolume or a filesystem of its own"), refused.err);
  CHECK_FALSE(host.exists("drover"));
}
