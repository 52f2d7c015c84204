// A whole migration of the sample data root as a user runs it: every verb, its words and its exit code.
#include <doctest/doctest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "drivers/sys/interrupt.hpp"
#include "migrate/journal.hpp"
#include "migrate/verify.hpp"
#include "tests/conformance/place.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/support/sample_root.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr std::size_t kSampleLayers = 5;  // three of images, and a container's two
constexpr std::size_t kImageLayers = 3;

const TestFilesystem& filesystem(const std::string& name) {
  const auto& all = test_filesystems();
  return *std::find_if(all.begin(), all.end(), [&](const TestFilesystem& f) { return f.name == name; });
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The part of an error that users see: without the lines of progress.
std::string message_of(const Run& run) {
  std::size_t at = run.err.find("drover: ");
  return at == std::string::npos ? run.err : run.err.substr(at);
}

void check_done(const Run& run) { CHECK_MESSAGE(run.code == 0, run.err); }

MigrationState state_of(const SampleHost& host) {
  return Journal::read(Dir::open(host.migration())).state.value_or(MigrationState::ended);
}

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
  CHECK(state_of(host) == MigrationState::switched);

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

TEST_CASE("the old data is not deleted where it may be the only copy") {
  struct Loss {
    std::function<void(const SampleHost&)> lose;
    std::string message;
  };
  const Loss losses[] = {
      {[](const SampleHost& h) { Dir::open(h.root()).remove_tree("vfs"); }, "/vfs` is missing"},
      {[](const SampleHost& h) { Dir::open(h.path("image")).remove_tree("vfs"); }, "/image/vfs` is missing"},
      {[](const SampleHost& h) { Dir::open(h.path("vfs/dir")).clear(); }, "the store of vfs is damaged: "},
      {[](const SampleHost& h) { h.write_config("{\"storage-driver\": \"overlay2\"}"); },
       "the engine does not use vfs but overlay2"},
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
        Run moved = host.run({"migrate", "--to", to->name(), "--yes", "--force"});
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
    CHECK(state_of(host) == MigrationState::staging);

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
  CHECK(state_of(host) == MigrationState::staging);
  check_done(host.run({"migrate", "--resume", "--yes"}));
  CHECK(host.losses(DriverKind::vfs) == "");
}

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
  CHECK(state_of(host) == MigrationState::staging);
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

TEST_CASE("what has come into being since the switch is told, and not written over") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  REQUIRE(::mkdir(host.path("overlay2").c_str(), 0710) == 0);
  Run blocked = host.run({"rollback", "--yes"});
  CHECK(blocked.code == 1);
  CHECK(has(message_of(blocked), "`" + host.root() + "/overlay2` has come into being since the switch"));
  CHECK(host.losses(DriverKind::vfs) == "");
  CHECK(state_of(host) == MigrationState::switched);
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
