// A rollback gives the new data up: not where the old data has lost something since it was put aside.
#include <doctest/doctest.h>

#include <filesystem>
#include <functional>

#include "migrate/migration_folder.hpp"
#include "tests/conformance/move_host.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

namespace {

/// Of the old records, containers and home.
struct Loss {
  std::function<void(const Dir& records, const Dir& containers, const Dir& home)> lose;
  std::string message;
};

const Loss kLosses[] = {
    {[](const Dir&, const Dir& containers, const Dir&) {
       containers.remove_tree(containers.list().front().name);
     },
     "is missing"},
    {[](const Dir&, const Dir& containers, const Dir&) {
       containers.sub(containers.list().front().name).unlink("config.v2.json");
     },
     " is missing"},
    {[](const Dir& records, const Dir&, const Dir&) { records.walk("imagedb/content/sha256").clear(); },
     "imagedb/content` is missing"},
    {[](const Dir& records, const Dir&, const Dir&) { records.write_atomic("repositories.json", "", 0600); },
     "has other files than it had"},
    {[](const Dir& records, const Dir&, const Dir&) { records.walk("layerdb/mounts").clear(); },
     "layerdb/mounts` is missing"},
    {[](const Dir&, const Dir&, const Dir& home) {
       for (const DirEntry& entry : home.list())
         if (auto layer = entry.name == "l" ? std::nullopt : home.try_sub(entry.name))
           layer->sub("diff").clear();
     },
     " lacks `"},
};

}  // namespace

TEST_CASE("the new data is not given up where the old data has lost something since it was put aside") {
  for (const Loss& loss : kLosses) {
    CAPTURE(loss.message);
    SampleHost host(filesystem("ext4"));
    check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
    Dir kept = Dir::open(host.migration()).sub("kept");
    loss.lose(kept.sub("image"), kept.sub("containers"), kept.sub("home"));
    Run refused = host.run({"rollback", "--yes"});
    CHECK(refused.code != 0);
    CHECK_MESSAGE(has(message_of(refused), loss.message), refused.err);
    CHECK(has(message_of(refused), "drover commit"));
    CHECK(host.losses(DriverKind::vfs) == "");
    CHECK(host.state() == MigrationState::switched);
  }
}

TEST_CASE("nor is a new root where the old one has") {
  for (const Loss& loss : kLosses) {
    CAPTURE(loss.message);
    MoveHost move("xfs");
    check_done(move.migrate());
    Dir old = Dir::open(move.host.root());
    loss.lose(old.walk("image/overlay2"), old.sub("containers"), old.sub("overlay2"));
    Run refused = move.run_by_config({"rollback", "--yes"});
    CHECK(refused.code != 0);
    CHECK_MESSAGE(has(message_of(refused), "missing") + has(message_of(refused), loss.message) > 0,
                  refused.err);
    CHECK(has(message_of(refused), "drover commit"));
    CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
  }
}

TEST_CASE("what is lost and not wanted does not keep a rollback for ever") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  Dir kept = Dir::open(host.migration()).sub("kept");
  kept.sub("containers").remove_tree(kept.sub("containers").list().front().name);
  CHECK(host.run({"rollback", "--yes"}).code == 1);
  kept.unlink("records.json");
  check_done(host.run({"rollback", "--yes"}));
  CHECK(host.exists("overlay2"));
}

TEST_CASE("a new store that is broken is given up all the same") {
  for (const std::string lost : {"image/vfs/layerdb", "image/vfs/imagedb", "vfs/dir", "containers"}) {
    CAPTURE(lost);
    SampleHost host(filesystem("ext4"));
    check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
    Dir::open(host.path(lost)).clear();
    check_done(host.run({"rollback", "--yes"}));
    CHECK(host.damage() == "");
  }
}

TEST_CASE("a rollback that was cut does not go on where the old root is lost meanwhile") {
  MoveHost move("xfs");
  const std::string before = move.host.config();
  check_done(move.migrate());
  // As cut between the old configuration and the pointer's word.
  auto folder = MigrationFolder::find(Dir::open(move.root));
  folder->set_state(MigrationState::rolling_back);
  folder.reset();
  move.host.write_config(before);
  const std::string aside = move.host.root() + ".lost";
  fs::rename(move.host.root(), aside);
  fs::create_directory(move.host.root());
  Run refused = run_on(move.root, fs::path(move.host.root()).parent_path() / "daemon.json",
                       {"rollback", "--yes"}, nullptr);
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "is not all there"), refused.err);
  CHECK(move.host.losses(DriverKind::overlay2, move.root) == "");
  fs::remove(move.host.root());
  fs::rename(aside, move.host.root());
  check_done(move.host.run({"rollback", "--yes"}));
  CHECK_FALSE(fs::exists(move.root));
  CHECK(move.host.damage() == "");
}

TEST_CASE("a container of a third driver, made since the switch, stays where a migration is given up") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  const std::string id(64, 'd');
  Dir made = Dir::open(host.path("containers")).make_path(id, 0710);
  made.write_new("config.v2.json", "{\"ID\":\"" + id + R"(","Name":"/third","Driver":"btrfs"})", 0600);
  made.write_new("hostconfig.json", "{}", 0600);
  check_done(host.run({"rollback", "--yes"}));
  CHECK(host.exists("containers/" + id + "/config.v2.json"));
  CHECK(host.exists("overlay2"));
  CHECK_FALSE(host.exists("vfs"));
}
