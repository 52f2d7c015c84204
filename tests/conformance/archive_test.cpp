// Export and import as a user runs them, under every driver.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conformance/archive_host.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/support/sample_root.hpp"

using namespace drover;
using namespace drover::test;

namespace {

std::vector<std::string> opts_of(const Case& one) {
  return one.driver.storage_opts ? one.driver.storage_opts(one.filesystem) : std::vector<std::string>();
}

}  // namespace

TEST_CASE("every driver takes an archive in and gives an archive of it") {
  ArchivedSample sample;
  for (const Case& one : cases()) {
    CAPTURE(one.name());
    ArchiveHost host(one.filesystem, one.driver.kind, opts_of(one));
    Run run = host.run({"import", "-i", sample.archive, "--force", "--jobs", "2"});
    check_done(run);
    CHECK(has(run.out, "imported 3 images and 1 containers into " + std::string(one.driver.name())));
    CHECK(host.losses_from(sample.host) == "");
    CHECK_FALSE(Dir::open(host.root()).exists("drover"));
    check_done(host.run({"verify"}));
    check_done(host.run({"export", "-o", host.beside("again.drover")}));
    ArchiveHost back(filesystem("ext4"), DriverKind::overlay2);
    check_done(back.run({"import", "-i", host.beside("again.drover")}));
    CHECK(back.losses_from(sample.host) == "");
  }
}

TEST_CASE("the same content is the same archive, and so it is after an import") {
  for (const char* compress : {"none", "gzip", "zstd"}) {
    CAPTURE(std::string(compress));
    ArchivedSample sample(compress);
    std::string first = bytes_of(sample.archive);
    CHECK(first.size() > 1000);
    for (const char* jobs : {"1", "2"}) {
      CAPTURE(std::string(jobs));
      ArchiveHost host(filesystem("btrfs"), DriverKind::overlay2);
      check_done(host.run({"import", "-i", sample.archive, "-j", jobs}));
      check_done(host.run({"export", "-o", host.beside("again"), "--compress", compress}));
      CHECK((bytes_of(host.beside("again")) == first));
    }
  }
}

TEST_CASE("names choose what is exported, with what it stands on") {
  ArchivedSample sample;
  auto exported = [&](const std::string& name) {
    check_done(sample.host.run({"export", name, "-o", sample.host.beside("one")}));
    ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
    check_done(host.run({"import", "-i", sample.host.beside("one")}));
    Inventory now = host.inventory();
    CHECK(now.problems.empty());
    return std::to_string(now.images.size()) + " " + std::to_string(now.containers.size()) + " " +
           std::to_string(now.layers.size());
  };
  CHECK(exported("sample-base:1") == "1 0 1");
  CHECK(exported("sample-app") == "1 0 2");
  CHECK(exported("sample-app:slim") == "1 0 3");
  CHECK(exported("worker") == "1 1 2");
  CHECK(exported(sample.host.inventory().containers.begin()->first.substr(0, 12)) == "1 1 2");
  Run none = sample.host.run({"export", "nothing", "-o", sample.host.beside("none")});
  CHECK(none.code == 1);
  CHECK(has(message_of(none), "there is no image or container `nothing`"));
  CHECK(::access(sample.host.beside("none").c_str(), F_OK) != 0);
  CHECK(::access((sample.host.beside("none.partial-") + std::to_string(::getpid())).c_str(), F_OK) != 0);
}

TEST_CASE("a damaged layer is not exported") {
  ArchivedSample sample;
  Inventory now = sample.host.inventory();
  std::string layer = sample.host.path("overlay2/" + now.layers.begin()->second.cache_id + "/diff");
  Dir diff = Dir::open(layer);
  std::string victim;
  for (const DirEntry& entry : diff.list())
    if (S_ISDIR(diff.stat(entry.name).st_mode)) {
      Dir sub = diff.sub(entry.name);
      for (const DirEntry& one : sub.list())
        if (S_ISREG(sub.stat(one.name).st_mode) && sub.stat(one.name).st_size > 0)
          victim = layer + "/" + entry.name + "/" + one.name;
    }
  REQUIRE(victim != "");
  std::string content = bytes_of(victim);
  content[0] = static_cast<char>(content[0] + 1);
  write_file(victim, content);
  std::string before = bytes_of(sample.archive);
  Run run = sample.host.run({"export", "-o", sample.archive});
  CHECK(run.code == 12);
  CHECK(has(message_of(run), "does not have its diff ID"));
  CHECK((bytes_of(sample.archive) == before));
}

TEST_CASE("an import that is killed is resumed or given up") {
  ArchivedSample sample;
  auto after = [](const char* phase, int steps) {
    return [phase = std::string(phase), steps, seen = false, done = 0](const std::string& line) mutable {
      if (has(line, phase)) seen = true;
      if (seen && ++done > steps) ::_exit(9);
    };
  };
  for (const char* end : {"resume", "rollback"})
    for (auto point : {std::pair("reading", 2), std::pair("making and proving", 0),
                       std::pair("making and proving", 3), std::pair("placing", 0)}) {
      const auto& phase = point.first;
      const auto& steps = point.second;
      CAPTURE(std::string(end));
      CAPTURE(std::string(phase));
      CAPTURE(steps);
      ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
      check_done(sample.host.run({"export", "sample-base:1", "-o", sample.host.beside("base")}));
      check_done(host.run({"import", "-i", sample.host.beside("base")}));
      host.remember();
      REQUIRE(host.run_apart({"import", "-i", sample.archive, "-j", "1"}, after(phase, steps)) == "killed");
      bool begun = phase != std::string("reading");
      Run refused = host.run({"migrate", "--to", "overlay2", "--yes"});
      CHECK(refused.code == 11);
      CHECK(has(message_of(refused), "an import is open"));
      CHECK(host.run({"import", "-i", sample.archive}).code == 11);
      CHECK(host.run({"commit", "--yes"}).code == 11);
      CHECK(host.run({"migrate", "--resume", "--yes"}).code == 11);
      if (end == std::string("resume") && begun) {
        check_done(host.run({"import", "--resume"}));
        CHECK(host.losses_from(sample.host) == "");
        CHECK_FALSE(Dir::open(host.root()).exists("drover"));
        continue;
      }
      if (end == std::string("resume")) CHECK(host.run({"import", "--resume"}).code == 1);
      check_done(host.run({"rollback", "--yes"}));
      CHECK(host.changes() == "");
    }
}

TEST_CASE("what a tar and a driver say differently is carried as the driver shows it") {
  ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
  Dir::open(host.beside("")).make_dir("docker", 0710);
  Digest top;
  {
    SampleRoot sample(host.root(), SampleRoot::Files::overlay2);
    Digest base = sample.add_layer(std::nullopt, {directory("d"), file("d/kept", "1"), file("d/gone", ""),
                                                  file("one", "x"), file("two", "y")});
    top = sample.add_layer(base, {directory("d"), directory("d/sub"), file("d/new", "2"), file("d/empty", ""),
                                  directory("lib"), hard_link_to("three", "d/new"), symlink_to("l", "d")});
    sample.add_image("app:1", top, "/app");
  }
  // As a driver may have it that makes something else of the tar.
  Dir diff = Dir::open(host.path("overlay2/" + host.inventory().layers.at(top).cache_id + "/diff"));
  diff.sub("d").unlink("empty");
  hide(Marks::overlay, diff.sub("d"), "gone");
  hide(Marks::overlay, diff, "one");
  diff.write_new("more", "content", 0640);
  diff.sub("lib").set_xattr("", "user.more", "1");
  make_opaque(Marks::overlay, diff.sub("lib"));
  diff.remove_dir("lib");
  diff.make_symlink("lib", "d");
  struct timespec times[2] = {{5, 6}, {1'700'000'001, 987'654'321}};
  REQUIRE(::utimensat(diff.fd(), "d/sub", times, 0) == 0);
  REQUIRE(::utimensat(diff.fd(), "d", times, 0) == 0);
  check_done(host.run({"export", "-o", host.beside("archive")}));
  for (DriverKind kind : {DriverKind::overlay2, DriverKind::vfs, DriverKind::aufs}) {
    CAPTURE(std::string(driver_name(kind)));
    ArchiveHost other(filesystem("ext4"), kind);
    check_done(other.run({"import", "-i", host.beside("archive"), "--force"}));
    CHECK(other.losses_from(host) == "");
  }
}

TEST_CASE("an import into nothing that is killed and given up leaves nothing") {
  ArchivedSample sample;
  for (const char* phase : {"reading", "making and proving", "placing"}) {
    CAPTURE(std::string(phase));
    ArchiveHost made(filesystem("btrfs"), DriverKind::btrfs);
    auto kill_at = [&](const std::string& line) {
      if (has(line, phase)) ::_exit(9);
    };
    REQUIRE(made.run_apart({"import", "-i", sample.archive, "-j", "1"}, kill_at) == "killed");
    check_done(made.run({"rollback", "--yes"}));
    // The root itself and the engine's lock file are what an engine makes, too.
    std::string left;
    for (const DirEntry& entry : Dir::open(made.root()).list()) left += entry.name + " ";
    CHECK(left == "volumes ");
    Run again = made.run({"import", "-i", sample.archive});
    check_done(again);
    CHECK(made.losses_from(sample.host) == "");
  }
}

TEST_CASE("a container that is replaced is there or replaced, wherever that is cut") {
  ArchivedSample sample;
  bool came_to_its_end = false;
  for (int cut = 1; !came_to_its_end; ++cut) {
    REQUIRE(cut < 100);
    for (const char* end : {"resume", "rollback"}) {
      CAPTURE(cut);
      CAPTURE(std::string(end));
      ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
      check_done(host.run({"import", "-i", sample.archive}));
      host.remember();
      int lines = 0;
      auto kill_at = [&](const std::string&) {
        if (++lines == cut) ::_exit(9);
      };
      std::string ended = host.run_apart(
          {"import", "-i", sample.archive, "--on-conflict", "replace", "--yes", "-j", "1"}, kill_at);
      came_to_its_end = ended != "killed";
      if (!came_to_its_end) {
        Run run = end == std::string("resume") ? host.run({"import", "--resume"}) : Run{1, "", ""};
        if (run.code != 0) {
          check_done(host.run({"rollback", "--yes"}));
          CHECK(host.changes() == "");
        }
      }
      CHECK(host.losses_from(sample.host) == "");
      CHECK_FALSE(Dir::open(host.root()).exists("drover"));
      CHECK(Dir::open(host.path("vfs/dir")).list().size() == 5);
    }
  }
}

TEST_CASE("what an engine has made in between stays when an import is given up") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
  auto kill_at = [&](const std::string& line) {
    if (has(line, "placing")) ::_exit(9);
  };
  REQUIRE(host.run_apart({"import", "-i", sample.archive, "-j", "1"}, kill_at) == "killed");
  // An engine makes layers of its own in the home that the import has made.
  auto driver = driver_entry(DriverKind::overlay2).open(host.path("overlay2"), {});
  LayerId own(64, 'e');
  driver->create(own, std::nullopt, {});
  check_done(host.run({"rollback", "--yes"}));
  CHECK(driver->contains(own));
  CHECK(driver->layers().size() == 1);
}

TEST_CASE("an import that an engine has built on is not taken back, and can still be gone on with") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
  auto kill_at = [&](const std::string& line) {
    if (has(line, "placing")) ::_exit(9);
  };
  REQUIRE(host.run_apart({"import", "-i", sample.archive, "-j", "1"}, kill_at) == "killed");
  // One record is placed; then an engine makes a layer on it.
  std::string below = "image/overlay2/layerdb/sha256";
  Dir root = Dir::open(host.root());
  Dir incoming =
      Dir::open(host.path("drover")).sub(Dir::open(host.path("drover")).list().front().name).sub("incoming");
  Inventory sampled = sample.host.inventory();
  Digest base;
  for (const auto& [chain, layer] : sampled.layers)
    if (!layer.parent) base = chain;
  Dir records = root.make_path(below, 0700);
  incoming.walk(below).rename(base, records, base);
  Digest diff(64, 'd'), own = chain_id_of(base, diff);
  Dir record = records.make_path(own, 0700);
  record.write_new("diff", "sha256:" + diff, 0644);
  record.write_new("parent", "sha256:" + base, 0644);
  record.write_new("cache-id", LayerId(64, 'e'), 0644);
  record.write_new("size", "0", 0644);
  for (int i = 0; i < 2; ++i) {
    Run refused = host.run({"rollback", "--yes"});
    CHECK(refused.code == 1);
    CHECK(has(message_of(refused), "stands on what was imported"));
  }
  // Nor where its record does not say any more what it stands on.
  record.unlink("parent");
  record.make_dir("parent", 0755);
  Run refused = host.run({"rollback", "--yes"});
  CHECK(refused.code == 1);
  CHECK(has(message_of(refused), "`layerdb/sha256/" + own + "` may stand on what was imported"));
  CHECK(records.exists(base));
  records.remove_tree(own);
  check_done(host.run({"import", "--resume"}));
  CHECK(host.losses_from(sample.host) == "");
}

TEST_CASE("an import is taken back beside a record that was damaged before it began") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
  check_done(sample.host.run({"export", "sample-base:1", "-o", sample.host.beside("base")}));
  check_done(host.run({"import", "-i", sample.host.beside("base")}));
  std::string below = "image/overlay2/layerdb/sha256", damaged(64, 'd');
  Dir::open(host.path(below)).make_path(damaged, 0700).write_new("diff", "no digest", 0644);
  // What a layer has as soon as another one stands on it stays, and means nothing.
  Dir::open(host.path("overlay2/" + host.inventory().layers.begin()->second.cache_id))
      .write_new("committed", "", 0600);
  host.remember();
  auto kill_at = [&](const std::string& line) {
    if (has(line, "placing")) ::_exit(9);
  };
  REQUIRE(host.run_apart({"import", "-i", sample.archive, "-j", "1"}, kill_at) == "killed");
  Dir incoming =
      Dir::open(host.path("drover")).sub(Dir::open(host.path("drover")).list().front().name).sub("incoming");
  Inventory there = host.inventory();
  for (const auto& [chain, layer] : sample.host.inventory().layers)
    if (layer.parent && there.layers.contains(*layer.parent))
      incoming.walk(below).rename(chain, Dir::open(host.path(below)), chain);
  REQUIRE(host.inventory().layers.size() == there.layers.size() + 1);
  check_done(host.run({"rollback", "--yes"}));
  CHECK(host.changes() == "");
}

TEST_CASE("no import makes a data root where there is something else") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
  Dir::open(host.beside("")).make_dir("docker", 0755);
  write_file(host.path("letter"), "dear");
  host.remember();
  Run run = host.run({"import", "-i", sample.archive});
  CHECK(run.code == 1);
  CHECK(has(message_of(run), "is no engine's data root: it holds `letter`"));
  CHECK(host.changes() == "");
}
