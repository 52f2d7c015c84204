// The record of a move into another data root, how it is found from both, and its switch.
#include "migrate/root_move.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/root_switch.hpp"
#include "migrate/target_root.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;
namespace fs = std::filesystem;

namespace {

/// An old root, and a place for a new one.
struct Roots {
  HostTree tree;
  std::string old_root = tree.path("/old"), new_root = tree.path("/disk/new");
  Roots() {
    tree.write("/old/image/overlay2/repositories.json", "{}");
    tree.write("/old/volumes/v/_data/file", "a volume's");
    tree.write("/etc/daemon.json", "{\"debug\": true}\n");
    fs::create_directories(tree.path("/disk"));
  }
  MigrationRecord record() const {
    MigrationRecord record;
    record.config_path = tree.path("/etc/daemon.json");
    record.move.emplace();
    record.move->from_root = old_root;
    record.move->to_root = record.move->config_root = new_root;
    return record;
  }
  Dir old_dir() const { return Dir::open(old_root); }
  Dir new_dir() const { return Dir::open(new_root); }
  std::string pointer(const std::string& id) const { return old_root + "/drover/" + id; }
};

}  // namespace

TEST_CASE("a move's record survives, and only as one of its own version") {
  Roots roots;
  MigrationRecord record = roots.record();
  record.move->made = {"/disk/a", "/disk/a/1.1"};
  record.move->to_root = "/disk/a/1.1";
  record.move->config_root = "/disk/a";
  record.move->mode = 0755;
  record.move->uid = 4'294'967'294;
  bool is_pointer = true;
  MigrationRecord again = parse_record(record_text(record), is_pointer);
  CHECK_FALSE(is_pointer);
  REQUIRE(again.move);
  CHECK(root_move_json(*again.move) == root_move_json(*record.move));
  CHECK(again.move->makes_root());
  parse_record(record_text(record, true), is_pointer);
  CHECK(is_pointer);
  auto json = nlohmann::ordered_json::parse(record_text(record));
  CHECK(json["version"] == 3);  // what drovers without moves know is 2
  record.move.reset();
  CHECK(nlohmann::json::parse(record_text(record))["version"] == 2);
  for (const char* key : {"move", "from_root", "to_root", "config_root", "made", "mode"}) {
    auto damaged = json;
    (damaged["move"].contains(key) ? damaged["move"] : damaged).erase(key);
    CHECK_THROWS_WITH_AS(parse_record(damaged.dump(), is_pointer), "is damaged", Error);
  }
  for (const char* path : {"relative", "/", "/a/../b", "/a//b", "/a/"}) {
    auto damaged = json;
    damaged["move"]["to_root"] = path;
    CHECK_THROWS_AS(parse_record(damaged.dump(), is_pointer), Error);
  }
  json["move"]["made"] = {"/etc"};
  CHECK_THROWS_AS(parse_record(json.dump(), is_pointer), Error);
}

TEST_CASE("a move is begun in the new root, found from both, and ends without a trace") {
  Roots roots;
  {
    MigrationFolder folder = MigrationFolder::create(roots.old_dir(), roots.record());
    CHECK(folder.dir().path().starts_with(roots.new_root + "/drover/"));
    CHECK(folder.record().move->made == std::vector<std::string>{roots.new_root});
    folder.journal().layers_finished({{LayerId(64, 'a')}});
  }
  for (const Dir& from : {roots.old_dir(), roots.new_dir()}) {
    auto open = find_open_migration(from);
    REQUIRE(open);
    CHECK(open->state == MigrationState::staging);
    auto folder = MigrationFolder::find(from);
    REQUIRE(folder);
    CHECK(folder->finished_layers().size() == 1);
    CHECK_THROWS_AS(MigrationFolder::create(roots.old_dir(), roots.record()), Error);
  }
  MigrationFolder::find(roots.old_dir())->set_state(MigrationState::switched);
  CHECK(find_open_migration(roots.old_dir())->state == MigrationState::switched);
  MigrationFolder::find(roots.new_dir())->end();
  CHECK_FALSE(fs::exists(roots.new_root));
  CHECK_FALSE(fs::exists(roots.old_root + "/drover"));
}

TEST_CASE("cut while it is begun or ended, a move is found as what it is") {
  Roots roots;
  std::string id;
  {
    MigrationFolder folder = MigrationFolder::create(roots.old_dir(), roots.record());
    id = folder.id();
  }
  SUBCASE("the pointer's first word is missing: it never began") {
    fs::remove(roots.pointer(id) + "/journal");
    CHECK_FALSE(find_open_migration(roots.old_dir()));
    CHECK_FALSE(find_open_migration(roots.new_dir()));
    SUBCASE("ended by the old root") { MigrationFolder::find(roots.old_dir())->end(); }
    SUBCASE("ended by the new root") { MigrationFolder::find(roots.new_dir())->end(); }
    SUBCASE("begun over") { MigrationFolder::create(roots.old_dir(), roots.record()).end(); }
  }
  SUBCASE("the pointer's journal is lost: what is staged says that it began") {
    fs::remove(roots.pointer(id) + "/journal");
    roots.tree.write("/disk/new/drover/" + id + "/kept/config", "{}");
    CHECK(find_open_migration(roots.new_dir()));
    MigrationFolder::find(roots.new_dir())->end();
  }
  SUBCASE("the new root has only a plan: it is begun over") {
    fs::remove(roots.pointer(id) + "/journal");
    fs::remove(roots.new_root + "/drover/" + id + "/journal");
    fs::remove(roots.new_root + "/drover/" + id + "/plan.json");
    { MigrationFolder::create(roots.old_dir(), roots.record()); }
    CHECK(find_open_migration(roots.old_dir())->record.move->makes_root());
    CHECK(find_open_migration(roots.old_dir()));
    MigrationFolder::find(roots.old_dir())->end();
  }
  SUBCASE("the new root is not there") {
    fs::rename(roots.new_root, roots.tree.path("/elsewhere"));
    CHECK_THROWS_AS(find_open_migration(roots.old_dir()), Error);
    CHECK_THROWS_AS(MigrationFolder::find(roots.old_dir()), Error);
    fs::rename(roots.tree.path("/elsewhere"), roots.new_root);
    MigrationFolder::find(roots.old_dir())->end();
  }
  SUBCASE("rolled back but for the pointer") {
    MigrationFolder::find(roots.old_dir())->mark_pointer(MigrationState::rolling_back);
    fs::remove_all(roots.new_root);
    CHECK_FALSE(find_open_migration(roots.old_dir()));
    auto left = MigrationFolder::find(roots.old_dir());
    REQUIRE(left);
    CHECK(left->state() == MigrationState::ended);
    left->end();
  }
  SUBCASE("rolled back but for an empty folder, and the pointer") {
    MigrationFolder::find(roots.old_dir())->mark_pointer(MigrationState::rolling_back);
    MigrationFolder::find(roots.new_dir())->set_state(MigrationState::ended);
    fs::remove(roots.new_root + "/drover/" + id + "/plan.json");
    SUBCASE("it says that it has ended") {}
    SUBCASE("it says nothing any more") { fs::remove(roots.new_root + "/drover/" + id + "/journal"); }
    CHECK_FALSE(find_open_migration(roots.old_dir()));
    MigrationFolder::find(roots.old_dir())->end();
  }
  SUBCASE("committed but for the empty folder above the pointer") {
    MigrationFolder::find(roots.new_dir())->set_state(MigrationState::committing);
    fs::remove_all(roots.pointer(id));
    auto left = MigrationFolder::find(roots.new_dir());
    REQUIRE(left);
    left->remove_pointer();
    CHECK_FALSE(fs::exists(roots.old_root + "/drover"));
    left->end();
  }
  SUBCASE("the new root's journal is lost") {
    fs::remove(roots.new_root + "/drover/" + id + "/journal");
    CHECK_THROWS_AS(find_open_migration(roots.old_dir()), Error);
    fs::remove_all(roots.new_root);
    fs::remove_all(roots.old_root + "/drover");
  }
  CHECK_FALSE(fs::exists(roots.new_root));
  CHECK_FALSE(fs::exists(roots.old_root + "/drover"));
  CHECK_FALSE(MigrationFolder::find(roots.old_dir()));
}

TEST_CASE("the switch is one of the configuration, and comes back to the byte") {
  Roots roots;
  MigrationRecord record = roots.record();
  record.to = DriverKind::vfs;
  MigrationFolder folder = MigrationFolder::create(roots.old_dir(), record);
  RootSwitch way(folder);
  way.backward();  // nothing was kept yet: nothing is done
  way.prepare(roots.old_dir(), roots.new_dir(), {"image", "volumes"});
  CHECK_FALSE(way.is_done());
  CHECK(roots.tree.read("/etc/daemon.json") == "{\"debug\": true}\n");
  for (int i = 0; i < 2; ++i) {
    way.forward();
    CHECK(RootSwitch(folder).is_done());
    CHECK(roots.tree.read("/etc/daemon.json") ==
          "{\"debug\": true, \"storage-driver\": \"vfs\", \"data-root\": \"" + roots.new_root + "\"}\n");
  }
  CHECK(RootSwitch(folder).carried() == std::vector<std::string>{"image", "volumes"});
  SUBCASE("untouched since") {
    way.backward();
    CHECK(roots.tree.read("/etc/daemon.json") == "{\"debug\": true}\n");
  }
  SUBCASE("edited since: only what is ours goes back") {
    roots.tree.write("/etc/daemon.json",
                     "{\"debug\": false, \"data-root\": \"/x\", \"storage-driver\": \"vfs\"}\n");
    CHECK_FALSE(way.is_done());
    way.backward();
    CHECK(roots.tree.read("/etc/daemon.json") == "{\"debug\": false}\n");
  }
  CHECK_FALSE(way.is_done());
}

TEST_CASE("what an engine does to the old root is seen") {
  Roots roots;
  MigrationFolder folder = MigrationFolder::create(roots.old_dir(), roots.record());
  RootSwitch way(folder);
  way.prepare(roots.old_dir(), roots.new_dir(), {});
  CHECK(way.old_root_has_nothing_new(roots.old_dir()));
  // As drivers that are tried out there.
  fs::create_directory(roots.old_root + "/probe");
  fs::remove(roots.old_root + "/probe");
  CHECK(way.old_root_has_nothing_new(roots.old_dir()));
  fs::remove_all(roots.old_root + "/image");  // deleted by hand
  CHECK(way.old_root_has_nothing_new(roots.old_dir()));
  fs::create_directory(roots.old_root + "/tmp");
  CHECK_FALSE(way.old_root_has_nothing_new(roots.old_dir()));
}

TEST_CASE("a new root is planned as the engine will name it") {
  Roots roots;
  RootMove move = plan_root_move(roots.tree.path("/disk/./new/"), {roots.old_root, "", true, {}});
  CHECK(move.to_root == roots.new_root);
  CHECK(move.config_root == roots.new_root);
  fs::create_directories(roots.tree.path("/up/7.8"));
  RootMove mapped = plan_root_move(roots.new_root, {roots.tree.path("/up/7.8"), "", true, {7, 8}});
  CHECK(mapped.to_root == roots.new_root + "/7.8");
  CHECK(mapped.config_root == roots.new_root);
  CHECK_THROWS_AS(
      plan_root_move(roots.tree.path("/disk/7.8"), {roots.tree.path("/up/7.8"), "", true, {7, 8}}), Error);
  CHECK_THROWS_AS(plan_root_move(roots.tree.path("/up/new"), {roots.tree.path("/up/7.8"), "", true, {7, 8}}),
                  Error);
  for (const std::string& wrong :
       {std::string("relative"), std::string("/"), roots.old_root, roots.old_root + "/x", roots.tree.root(),
        roots.tree.path("/absent/new"), roots.tree.path("/etc/daemon.json")})
    CHECK_THROWS_AS(plan_root_move(wrong, {roots.old_root, "", true, {}}), Error);
  // A name that only begins alike is another folder.
  CHECK_NOTHROW(plan_root_move(roots.old_root + "er", {roots.old_root, "", true, {}}));
  fs::create_directories(roots.new_root + "/lost+found");
  CHECK(plan_root_move(roots.new_root, {roots.old_root, "", true, {}}).mode != 0);
  roots.tree.write("/disk/new/file", "");
  CHECK_THROWS_WITH_AS(plan_root_move(roots.new_root, {roots.old_root, "", true, {}}),
                       ("`" + roots.new_root + "` is not empty: there is `file`").c_str(), Error);
}
