// A whole migration of the sample data root as a user runs it: every verb, its words and its exit code.
#include <doctest/doctest.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "drivers/clone_tree.hpp"
#include "drivers/sys/interrupt.hpp"
#include "migrate/journal.hpp"
#include "migrate/verify.hpp"
#include "tests/conformance/place.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/support/sample_root.hpp"

using namespace drover;
using namespace drover::test;

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kSampleLayers = 5;  // three of images, and a container's two
constexpr std::size_t kImageLayers = 3;

/// Calls `act` when a run has told that so many layers are done.
std::function<void(const std::string&)> when_done(std::size_t layers, const std::function<void()>& act) {
  return [layers, act](const std::string& line) {
    if (has(line, "\"done\":" + std::to_string(layers) + ",")) act();
  };
}

}  // namespace

TEST_CASE("a plan is printed and nothing is touched") {
  SampleHost host(filesystem("ext4"));
  Run run = host.run({"migrate", "--to", "vfs", "--dry-run"});
  check_done(run);
  for (const char* part :
       {"From: overlay2", "To: vfs", "Images: 3 (4 tags and digests)", "Containers: 1", "Layers: 5",
        "Image Layers By: hard links", "Writable Layers By: copies", "+  \"storage-driver\": \"vfs\""}) {
    CAPTURE(std::string(part));
    CHECK(has(run.out, part));
  }
  CHECK(host.damage() == "");
  CHECK_FALSE(host.exists("drover"));
  CHECK_FALSE(host.exists("volumes"));
}

TEST_CASE("migrate, verify, and back") {
  SampleHost host(filesystem("ext4"));
  Run moved = host.run({"migrate", "--to", "vfs", "--yes"});
  check_done(moved);
  CHECK(has(moved.out, "Moved from overlay2 to vfs"));
  CHECK(has(moved.out, "Layers Proven: 3 by their diff ID"));
  CHECK(has(moved.out, "Layers Compared: 2 entry by entry"));
  CHECK(has(host.config(), "\"storage-driver\": \"vfs\""));
  CHECK(has(host.config(), "\"log-level\": \"warn\""));
  CHECK(host.losses(DriverKind::vfs) == "");
  CHECK_FALSE(host.exists("overlay2"));
  CHECK_FALSE(host.exists("image/overlay2"));
  CHECK(host.state() == MigrationState::switched);

  Run again = host.run({"migrate", "--to", "overlay2", "--yes"});
  CHECK(again.code == 11);
  CHECK(message_of(again) ==
        "drover: a migration from overlay2 to vfs is open in `" + host.root() +
            "`: the new setup is in place and the old one is kept\nhint: `drover commit` "
            "deletes the old data, `drover rollback` goes back to it\n");
  CHECK(host.run({"migrate", "--resume", "--yes"}).code == 11);

  Run verified = host.run({"verify"});
  check_done(verified);
  CHECK(has(verified.out, "Layers Proven: 3"));
  CHECK(has(verified.out, "Writable Layers: 2 readable"));

  Run unasked = host.run({"rollback"});
  CHECK(unasked.code == 2);
  CHECK(has(message_of(unasked), "there is no terminal to ask on, so nothing was changed"));
  CHECK(host.losses(DriverKind::vfs) == "");

  Run back = host.run({"rollback", "--yes"});
  check_done(back);
  CHECK(back.out == "rolled back to overlay2; start the engine\n");
  CHECK(host.damage() == "");
  CHECK_FALSE(host.exists("drover"));
  CHECK_FALSE(host.exists("vfs"));
  CHECK_FALSE(host.exists("image/vfs"));
  check_done(host.run({"verify"}));
}

TEST_CASE("migrate and commit") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  Run done = host.run({"commit", "--yes"});
  check_done(done);
  CHECK(done.out == "deleted the old data of overlay2\n");
  CHECK_FALSE(host.exists("drover"));
  CHECK(host.losses(DriverKind::vfs) == "");
  check_done(host.run({"verify"}));
  for (const char* verb : {"commit", "rollback"}) {
    Run nothing = host.run({verb, "--yes"});
    CHECK(nothing.code == 1);
    CHECK(has(message_of(nothing), "there is no migration in `" + host.root() + "` to"));
  }
}

TEST_CASE("files that chattr protects are told of, moved without that, and do not keep a commit") {
  SampleHost host(filesystem("ext4"));
  LayerId writable = host.inventory().mounts.begin()->second.mount_id;
  {
    OpenLayer layer = driver_entry(DriverKind::overlay2).open(host.path("overlay2"), {})->open(writable);
    layer.root.write_new("guarded", "", 0644);
    int flags = FS_IMMUTABLE_FL;
    REQUIRE(::ioctl(layer.root.open_file("guarded").get(), FS_IOC_SETFLAGS, &flags) == 0);
  }
  Run moved = host.run({"migrate", "--to", "vfs", "--yes"});
  check_done(moved);
  CHECK(has(moved.out, "Note: 1 files or folders are immutable or append-only"));
  check_done(host.run({"commit", "--yes"}));
  CHECK_FALSE(host.exists("drover"));
  CHECK(host.exists("vfs/dir/" + writable + "/guarded"));
}

namespace {
Inventory under_vfs(const SampleHost& host) {
  return read_inventory(Dir::open(host.root()), DriverKind::vfs, nullptr);
}
}  // namespace

TEST_CASE("the old data is not deleted where it may be the only copy") {
  struct Loss {
    std::function<void(const SampleHost&)> lose;
    std::string message;
  };
  const Loss losses[] = {
      {[](const SampleHost& h) { Dir::open(h.root()).remove_tree("vfs"); }, "/vfs` is missing"},
      {[](const SampleHost& h) { Dir::open(h.path("image")).remove_tree("vfs"); }, "/image/vfs` is missing"},
      {[](const SampleHost& h) { Dir::open(h.path("vfs/dir")).clear(); }, "the store of vfs is damaged: "},
      {[](const SampleHost& h) {
         std::string kept = h.migration() + "/kept/containers";
         Dir::open(h.root()).remove_tree("containers");
         clone_tree(Dir::open(kept), Dir::open(h.root()).make_path("containers", 0710), false);
       },
       "container worker is still one of overlay2 in `"},
      {[](const SampleHost& h) { h.write_config("{\"storage-driver\": \"overlay2\"}"); },
       "the engine does not use vfs but overlay2"},
      {[](const SampleHost& h) {
         Inventory now = under_vfs(h);
         for (const auto& [chain, layer] : now.layers) Dir::open(h.path("vfs/dir/" + layer.cache_id)).clear();
       },
       " is empty in `"},
      {[](const SampleHost& h) {
         Dir::open(h.path("vfs/dir/" + under_vfs(h).mounts.begin()->second.mount_id)).clear();
       },
       "the writable layer of "},
      {[](const SampleHost& h) {
         Inventory now = under_vfs(h);
         for (const auto& [chain, layer] : now.layers)
           Dir::open(h.path("vfs/dir/" + layer.cache_id)).remove_tree("etc");
       },
       " shows other names in `"},
      {[](const SampleHost& h) {
         std::string chain = under_vfs(h).layers.begin()->first;
         Dir::open(h.path("image/vfs/layerdb/sha256/" + chain))
             .write_atomic("tar-split.json.gz", "", 0644, 0, 0);
       },
       " is not the one that was carried"},
      {[](const SampleHost& h) { fs::remove(h.path("image/vfs/repositories.json")); }, "repositories.json"},
      {[](const SampleHost& h) {
         Dir::open(h.path("image/vfs"))
             .write_atomic("repositories.json", "{\"Repositories\":{}}", 0600, 0, 0);
       },
       "no image has a tag any more"},
      // Lost, and made anew by an engine that finds neither home nor records.
      {[](const SampleHost& h) {
         Dir root = Dir::open(h.root());
         for (const char* lost : {"image/vfs", "vfs", "containers"}) fs::remove_all(h.path(lost));
         root.make_path("image/vfs/layerdb", 0700);
         root.make_path("image/vfs/imagedb/content/sha256", 0700);
         root.sub("image").sub("vfs").write_new("repositories.json", "{\"Repositories\":{}}", 0600);
         root.make_path("vfs/dir", 0700);
         root.make_path("containers", 0710);
       },
       "made anew by an engine"},
  };
  for (const Loss& loss : losses) {
    CAPTURE(loss.message);
    SampleHost host(filesystem("ext4"));
    check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
    loss.lose(host);
    Run refused = host.run({"commit", "--yes"});
    CHECK(refused.code != 0);
    CHECK_MESSAGE(has(message_of(refused), loss.message), refused.err);
    CHECK(has(message_of(refused), "drover rollback"));
    check_done(host.run({"rollback", "--yes"}));
    if (loss.message.find("does not use") == std::string::npos) CHECK(host.damage() == "");
  }
}

TEST_CASE("the build cache's records come along as a copy, and back as they were") {
  SampleHost host(filesystem("ext4"));
  Dir buildkit = Dir::open(host.root()).make_path("buildkit", 0711);
  buildkit.write_new("snapshots.db", "as it was", 0600);
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  Dir copy = Dir::open(host.path("buildkit"));
  CHECK(copy.stat().st_ino != buildkit.stat().st_ino);
  CHECK((copy.stat().st_mode & 07777) == 0711);
  CHECK(copy.read("snapshots.db") == "as it was");
  copy.write_atomic("snapshots.db", "by the engine", 0600);
  check_done(host.run({"rollback", "--yes"}));
  CHECK(Dir::open(host.path("buildkit")).stat().st_ino == buildkit.stat().st_ino);
  CHECK(buildkit.read("snapshots.db") == "as it was");
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  check_done(host.run({"commit", "--yes"}));
  CHECK(Dir::open(host.path("buildkit")).read("snapshots.db") == "as it was");
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("containers that the engine has removed do not keep a commit") {
  SampleHost host(filesystem("ext4"));
  std::string id = host.inventory().containers.begin()->first;
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  Dir::open(host.path("containers")).remove_tree(id);
  Run early = host.run({"commit", "--yes"});
  CHECK(early.code == 12);
  CHECK_MESSAGE(has(message_of(early), "container worker is not in `"), early.err);
  Dir::open(host.path("image/vfs/layerdb/mounts")).remove_tree(id);
  check_done(host.run({"commit", "--yes"}));
}

TEST_CASE("what the engine would not start with is refused before anything is done") {
  SampleHost host(filesystem("ext4"));
  for (const char* option : {"foo", "overlay2.size=1G", "=x"}) {
    Run run = host.run({"migrate", "--to", "vfs", "--yes", "--storage-opt", option});
    CHECK(run.code == 2);
    CHECK_MESSAGE(has(message_of(run), "storage-opt"), run.err);
  }
  CHECK(host.damage() == "");
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("around through all drivers and back to the first without a difference") {
  for (const TestFilesystem& one : test_filesystems()) {
    if (!one.missing.empty()) continue;
    SUBCASE(one.name.c_str()) {
      SampleHost host(one);
      std::vector<const DriverUnderTest*> way;
      for (const Case& c : cases())
        if (&c.filesystem == &one) way.push_back(&c.driver);
      auto first =
          std::find_if(way.begin(), way.end(), [](auto* d) { return d->kind == DriverKind::overlay2; });
      if (first == way.end()) return;  // the sample cannot be here
      std::rotate(way.begin(), first + 1, way.end());
      for (const DriverUnderTest* to : way) {
        CAPTURE(std::string(to->name()));
        std::vector<std::string> words{"migrate", "--to", to->name(), "--yes", "--force", "--yes-loop-lvm"};
        if (to->storage_opts)
          for (const std::string& option : to->storage_opts(one))
            words.insert(words.end(), {"--storage-opt", option});
        Run moved = host.run(words);
        REQUIRE_MESSAGE(moved.code == 0, moved.err);
        CHECK(host.losses(to->kind) == "");
        REQUIRE(host.run({"commit", "--yes"}).code == 0);
        check_done(host.run({"verify"}));
      }
      CHECK(has(host.config(), "\"storage-driver\": \"overlay2\""));
    }
  }
}

TEST_CASE("killed while staging, a migration is resumed or given up") {
  for (std::size_t layers = 1; layers <= kSampleLayers; ++layers) {
    CAPTURE(layers);
    SampleHost host(filesystem("ext4"));
    auto kill_at = when_done(layers, [] { ::_exit(9); });
    REQUIRE(host.run_apart({"migrate", "--to", "vfs", "--yes", "--jobs", "1"}, kill_at) == "killed");
    CHECK(host.damage() == "");
    CHECK(host.state() == MigrationState::staging);

    Run anew = host.run({"migrate", "--to", "vfs", "--yes"});
    CHECK(anew.code == 11);
    CHECK(has(message_of(anew), "is open in `" + host.root() +
                                    "`: it was interrupted while staging\nhint: "
                                    "`drover migrate --resume` finishes it"));
    Run early = host.run({"commit", "--yes"});
    CHECK(early.code == 1);
    CHECK(has(message_of(early), "the migration is not finished: it is staging"));
    Run other = host.run({"migrate", "--resume", "--to", "btrfs", "--yes"});
    CHECK(other.code == 2);
    CHECK(has(message_of(other), "is one to vfs"));
    CHECK(host.damage() == "");

    if (layers == 3) {
      Run back = host.run({"rollback", "--yes"});
      check_done(back);
      CHECK(host.damage() == "");
      CHECK_FALSE(host.exists("drover"));
      continue;
    }
    // The layer that was told of last was not on disk yet.
    auto finished = Journal::read(Dir::open(host.migration())).finished_layers;
    CHECK(finished.size() == layers - 1);
    // Those that an engine can write to are made anew.
    std::size_t earlier = 0;
    for (const auto& [chain, layer] : host.inventory().layers) earlier += finished.count(layer.cache_id);
    Run resumed = host.run({"migrate", "--resume", "--yes"});
    check_done(resumed);
    CHECK(has(resumed.out, "Layers Done Earlier: " + std::to_string(earlier) + "\n") == (earlier > 0));
    CHECK(host.losses(DriverKind::vfs) == "");
    check_done(host.run({"rollback", "--yes"}));
    CHECK(host.damage() == "");
  }
}

TEST_CASE("a layer that was staged in part is made anew") {
  SampleHost host(filesystem("ext4"));
  auto kill_at = when_done(2, [] { ::_exit(9); });
  REQUIRE(host.run_apart({"migrate", "--to", "vfs", "--yes", "--jobs", "1"}, kill_at) == "killed");
  auto half = driver_entry(DriverKind::vfs).open(host.migration() + "/home", {});
  auto finished = Journal::read(Dir::open(host.migration())).finished_layers;
  for (const LayerId& id : half->layers()) {
    if (finished.contains(id)) continue;
    half->open(id).root.clear();
    half->open(id).root.write_new("left over", "", 0644);
  }
  half->create(std::string(64, 'e'), std::nullopt, {});
  check_done(host.run({"migrate", "--resume", "--yes"}));
  CHECK(host.losses(DriverKind::vfs) == "");
}

TEST_CASE("what an engine wrote while a migration was interrupted comes along") {
  for (std::size_t kills : {1, 2}) {
    CAPTURE(kills);
    SampleHost host(filesystem("ext4"));
    auto kill_at = when_done(kSampleLayers, [] { ::_exit(9); });
    REQUIRE(host.run_apart({"migrate", "--to", "vfs", "--yes", "--jobs", "1"}, kill_at) == "killed");
    auto old = driver_entry(DriverKind::overlay2).open(host.path("overlay2"), {});
    LayerId writable = host.inventory().mounts.begin()->second.mount_id;
    old->open(writable).root.write_new("since", "written by an engine", 0644);
    if (kills == 2) {
      auto kill_again = when_done(kImageLayers + 1, [] { ::_exit(9); });
      REQUIRE(host.run_apart({"migrate", "--resume", "--yes", "--jobs", "1"}, kill_again) == "killed");
    }
    check_done(host.run({"migrate", "--resume", "--yes"}));
    auto made = driver_entry(DriverKind::vfs).open(host.path("vfs"), {});
    CHECK(made->open(writable).root.read("since") == "written by an engine");
  }
}

TEST_CASE("a blank configuration is an empty one, and comes back blank") {
  SampleHost host(filesystem("ext4"));
  host.write_config(" \n");
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  CHECK(has(host.config(), "\"storage-driver\": \"vfs\""));
  check_done(host.run({"rollback", "--yes"}));
  CHECK(host.config() == " \n");
}

TEST_CASE("a rootless engine's data root, and a home behind a symlink, are refused") {
  SampleHost host(filesystem("ext4"));
  REQUIRE(::chown(host.root().c_str(), 1000, 1000) == 0);
  Run rootless = host.run({"migrate", "--to", "vfs", "--yes"});
  CHECK(rootless.code == 10);
  CHECK(has(message_of(rootless), "it is a rootless engine's"));
  REQUIRE(::chown(host.root().c_str(), 0, 0) == 0);
  REQUIRE(::rename(host.path("overlay2").c_str(), host.path("elsewhere").c_str()) == 0);
  REQUIRE(::symlink("elsewhere", host.path("overlay2").c_str()) == 0);
  Run linked = host.run({"migrate", "--to", "vfs", "--yes"});
  CHECK(linked.code == 1);
  CHECK(has(message_of(linked), "is no directory but a symlink"));
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("a signal ends a migration tidily, and it is resumed") {
  SampleHost host(filesystem("ext4"));
  auto interrupt = when_done(2, [] { ::raise(SIGINT); });
  std::string ended = host.run_apart({"migrate", "--to", "vfs", "--yes", "--jobs", "1"}, interrupt);
  CHECK(ended.starts_with("130\n"));
  CHECK_MESSAGE(has(ended, "interrupted\nhint: `drover migrate --resume` finishes it"), ended);
  CHECK(host.damage() == "");
  CHECK(host.state() == MigrationState::staging);
  check_done(host.run({"migrate", "--resume", "--yes"}));
  CHECK(host.losses(DriverKind::vfs) == "");
}
