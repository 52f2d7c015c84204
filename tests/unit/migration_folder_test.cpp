#include "migrate/migration_folder.hpp"

#include <doctest/doctest.h>
#include <sys/file.h>

#include <filesystem>

#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;
namespace fs = std::filesystem;

namespace {

MigrationRecord some_record() {
  MigrationRecord record;
  record.from = DriverKind::overlay2;
  record.to = DriverKind::vfs;
  record.config_path = "/etc/docker/daemon.json";
  record.storage_opts = {"size=1G", "\"odd\" \n"};
  record.force = true;
  record.from_home = {{100'000, 4'294'967'294}, {"overlay2.size=1G"}, true};
  record.to_home = {{7, 8}, {}};
  return record;
}
const MigrationRecord kRecord = some_record();

struct Root {
  HostTree tree;
  Dir dir = Dir::open(tree.root());
  void make(const std::string& id, const std::string& plan, const std::string& journal) const {
    tree.write("/drover/" + id + "/plan.json", plan);
    tree.write("/drover/" + id + "/journal", journal);
  }
  bool exists(const std::string& below) const { return fs::exists(tree.path(below)); }
};

std::string in_state(const std::string& name) { return R"({"event":"state","name":")" + name + "\"}\n"; }

constexpr const char* kPlan =
    R"({"version": 2, "from": "overlay2", "to": "vfs", "config": "/c", "storage_opts": [], "force": false,)"
    R"( "from_home": {"uid": 0, "gid": 0, "storage_opts": []}, "to_home": {"uid": 0, "gid": 0}})";

void check_record(const MigrationRecord& record) {
  CHECK(record.from == kRecord.from);
  CHECK(record.to == kRecord.to);
  CHECK(record.config_path == kRecord.config_path);
  CHECK(record.storage_opts == kRecord.storage_opts);
  CHECK(record.force);
  for (auto home : {&MigrationRecord::from_home, &MigrationRecord::to_home}) {
    CHECK((record.*home).owner.uid == (kRecord.*home).owner.uid);
    CHECK((record.*home).owner.gid == (kRecord.*home).owner.gid);
    CHECK((record.*home).storage_opts == (kRecord.*home).storage_opts);
    CHECK((record.*home).offline == (kRecord.*home).offline);
  }
}

}  // namespace

TEST_CASE("a migration is begun, found again, goes through its states and ends without a trace") {
  Root root;
  CHECK_FALSE(find_open_migration(root.dir));
  CHECK_FALSE(MigrationFolder::find(root.dir));
  std::string id;
  {
    MigrationFolder folder = MigrationFolder::create(root.dir, kRecord);
    id = folder.id();
    CHECK(id.ends_with("-overlay2-to-vfs"));
    CHECK(folder.state() == MigrationState::staging);
    check_record(folder.record());
    CHECK(folder.home_path() == root.tree.path("/drover/" + id + "/home"));
    folder.journal().layers_finished({{LayerId(64, 'a')}});
  }
  auto open = find_open_migration(root.dir);
  REQUIRE(open);
  CHECK(open->id == id);
  CHECK(open->state == MigrationState::staging);
  check_record(open->record);
  {
    auto folder = MigrationFolder::find(root.dir);
    REQUIRE(folder);
    CHECK(folder->finished_layers() == std::set<LayerId>{LayerId(64, 'a')});
    check_record(folder->record());
    folder->set_state(MigrationState::switched);
    CHECK(find_open_migration(root.dir)->state == MigrationState::switched);
    root.tree.write("/drover/" + id + "/kept/home/dir/x", "");
    root.tree.write("/drover/" + id + "/image/y", "");
    folder->end();
  }
  CHECK_FALSE(root.exists("/drover"));
  CHECK_FALSE(find_open_migration(root.dir));
}

TEST_CASE("an open migration is not begun over") {
  Root root;
  std::string id;
  {
    MigrationFolder folder = MigrationFolder::create(root.dir, kRecord);
    folder.set_state(MigrationState::switched);
    id = folder.id();
    root.tree.write("/drover/" + id + "/kept/home/dir/x", "the old data");
  }
  CHECK_THROWS_AS(MigrationFolder::create(root.dir, kRecord), Error);
  CHECK(root.exists("/drover/" + id + "/kept/home/dir/x"));
  CHECK(find_open_migration(root.dir)->state == MigrationState::switched);
}

TEST_CASE("data without a journal is not taken for rubbish") {
  for (const char* journal : {"", "{\"event\":\"sta"}) {
    Root root;
    root.make("20260101-000000-overlay2-to-vfs", kPlan, journal);
    CHECK_FALSE(find_open_migration(root.dir));  // never begun
    root.tree.write("/drover/20260101-000000-overlay2-to-vfs/kept/home/dir/x", "the old data");
    CHECK_THROWS_AS(find_open_migration(root.dir), Error);
    CHECK_THROWS_AS(MigrationFolder::find(root.dir), Error);
    CHECK_THROWS_AS(MigrationFolder::create(root.dir, kRecord), Error);
    CHECK(root.exists("/drover/20260101-000000-overlay2-to-vfs/kept/home/dir/x"));
  }
}

TEST_CASE("a second drover is locked out as long as the first is at work") {
  Root root;
  auto first = std::make_unique<MigrationFolder>(MigrationFolder::create(root.dir, kRecord));
  try {
    MigrationFolder::find(root.dir);
    FAIL("there was no lock");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::in_use);
    CHECK(std::string(e.what()) == "another drover is at work in `" + first->dir().path() + "`");
  }
  CHECK(find_open_migration(root.dir));  // who only looks needs no lock
  first.reset();
  CHECK(MigrationFolder::find(root.dir));
}

TEST_CASE("two open migrations are refused, one beside what an ended one left is taken") {
  Root root;
  root.make("one", kPlan, in_state("staging"));
  root.make("two", kPlan, in_state("ended"));
  CHECK(find_open_migration(root.dir)->id == "one");
  root.make("two", kPlan, in_state("switched"));
  try {
    find_open_migration(root.dir);
    FAIL("one of them was chosen");
  } catch (const Error& e) {
    std::string what = e.what();
    CHECK(what.starts_with("there are two open migrations in `" + root.tree.path("/drover") + "`: "));
    CHECK(what.find("one") != std::string::npos);
    CHECK(what.find("two") != std::string::npos);
  }
  CHECK_THROWS_AS(MigrationFolder::find(root.dir), Error);
  CHECK_THROWS_AS(MigrationFolder::create(root.dir, kRecord), Error);
}

TEST_CASE("a damaged plan is an error as long as its migration is open") {
  const std::pair<const char*, const char*> damages[] = {
      {"", "is no valid JSON"},
      {"{", "is no valid JSON"},
      {"[]", "is of another version of drover"},
      {R"({"version": 1, "from": "overlay2", "to": "vfs", "config": "/c"})",
       "is of another version of drover"},
      {R"({"version": 2, "from": "overlay9", "to": "vfs", "config": "/c"})", "is damaged"},
      {R"({"version": 2, "from": "overlay2", "config": "/c"})", "is damaged"},
      {R"({"version": 2, "from": "overlay2", "to": ["vfs"], "config": "/c"})", "is damaged"},
      {R"({"version": 2, "from": "overlay2", "to": "vfs", "config": "c"})", "is damaged"},
      {R"({"version": 2, "from": "overlay2", "to": "vfs", "config": "/c"})", "is damaged"},
      {R"({"version": 2, "from": "overlay2", "to": "vfs", "config": "/c", "from_home": {"uid": -1, "gid": 0}})",
       "is damaged"},
      {R"({"version": 2, "from": "overlay2", "to": "vfs", "config": "/c", "from_home": {"uid": 0, "gid": 0},)"
       R"( "to_home": {"uid": 4294967296, "gid": 0}})",
       "is damaged"},
      {R"({"version": 6, "from": "overlay2", "to": "aufs", "config": "/c", "from_home": {"uid": 0, "gid": 0},)"
       R"( "to_home": {"uid": 0, "gid": 0}, "keep_going": true})",
       "is damaged"},
      {R"({"version": 7, "from": "overlay2", "to": "aufs", "config": "/c"})", "is of another version of drover"},
  };
  for (const auto& [plan, says] : damages) {
    const std::string damaged = plan;
    CAPTURE(damaged);
    Root root;
    root.make("one", plan, in_state("switched"));
    std::string message = "`" + root.tree.path("/drover/one/plan.json") + "` " + says;
    CHECK_THROWS_WITH_AS(find_open_migration(root.dir), message.c_str(), Error);
    CHECK_THROWS_WITH_AS(MigrationFolder::find(root.dir), message.c_str(), Error);
    CHECK(root.exists("/drover/one"));
  }
  Root root;
  root.tree.write("/drover/one/journal", in_state("staging"));
  std::string message = "`" + root.tree.path("/drover/one/plan.json") + "` is missing";
  CHECK_THROWS_WITH_AS(find_open_migration(root.dir), message.c_str(), Error);
}

TEST_CASE("that layers are renamed, or nothing is proven, is in the plan, in a version of its own") {
  for (bool renames : {true, false})
    for (bool no_proof : {true, false})
      for (bool keep_going : {true, false}) {
        MigrationRecord record = kRecord;
        record.renames = renames;
        record.no_proof = no_proof;
        record.keep_going = keep_going;
        std::string text = record_text(record);
        CHECK((text.find("\"version\": 6") != std::string::npos) == (renames || no_proof));
        bool is_pointer = true;
        MigrationRecord back = parse_record(text, is_pointer);
        check_record(back);
        CHECK(back.renames == renames);
        CHECK(back.no_proof == no_proof);
        CHECK(back.keep_going == keep_going);
        CHECK_FALSE(back.move);
        CHECK_FALSE(is_pointer);
      }
}

TEST_CASE("a damaged journal is an error") {
  Root root;
  root.make("one", kPlan, in_state("staging") + "garbage\n");
  CHECK_THROWS_AS(find_open_migration(root.dir), Error);
  CHECK_THROWS_AS(MigrationFolder::find(root.dir), Error);
}

TEST_CASE("what a cut has left of a migration's begin or end is removed by the next one") {
  Root root;
  SUBCASE("an empty folder above") { fs::create_directory(root.tree.path("/drover")); }
  SUBCASE("an empty folder") { fs::create_directories(root.tree.path("/drover/one")); }
  SUBCASE("a plan that was being written") { root.tree.write("/drover/one/.plan.json.drover-new", "{"); }
  SUBCASE("a plan without a journal") { root.tree.write("/drover/one/plan.json", kPlan); }
  SUBCASE("an empty journal") { root.make("one", kPlan, ""); }
  SUBCASE("the first line torn") { root.make("one", kPlan, in_state("staging").substr(0, 20)); }
  SUBCASE("ended, all there") {
    root.make("one", kPlan, in_state("ended"));
    root.tree.write("/drover/one/kept/image/x", "");
    root.tree.write("/drover/one/home/dir/y", "");
  }
  SUBCASE("ended, the plan gone") { root.tree.write("/drover/one/journal", in_state("ended")); }
  CHECK_FALSE(find_open_migration(root.dir));
  MigrationFolder folder = MigrationFolder::create(root.dir, kRecord);
  CHECK(root.tree.names("/drover") == std::vector<std::string>{folder.id()});
}

TEST_CASE("the folder above stays while something else is in it") {
  Root root;
  MigrationFolder folder = MigrationFolder::create(root.dir, kRecord);
  root.tree.write("/drover/a note of the admin", "");
  folder.end();
  CHECK(root.tree.names("/drover") == std::vector<std::string>{"a note of the admin"});
  CHECK_FALSE(MigrationFolder::find(root.dir));
  MigrationFolder::create(root.dir, kRecord).end();
  CHECK(root.exists("/drover/a note of the admin"));
}

TEST_CASE("each state says what is to be done about it") {
  const std::pair<MigrationState, std::pair<const char*, const char*>> texts[] = {
      {MigrationState::staging,
       {"it was interrupted while staging",
        "`drover migrate --resume` finishes it, `drover rollback` gives it up"}},
      {MigrationState::switching,
       {"it was interrupted while switching",
        "`drover migrate --resume` finishes it, `drover rollback` gives it up"}},
      {MigrationState::switched,
       {"the new setup is in place and the old one is kept",
        "`drover commit` deletes the old data, `drover rollback` goes back to it"}},
      {MigrationState::rolling_back,
       {"it was interrupted while rolling back", "`drover rollback` finishes that"}},
      {MigrationState::committing, {"it was interrupted while committing", "`drover commit` finishes that"}},
  };
  for (const auto& [state, text] : texts) {
    try {
      refuse_open_migration({"id", kRecord, state}, "/d");
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::in_use);
      CHECK(e.what() == std::string("a migration from overlay2 to vfs is open in `/d`: ") + text.first);
      CHECK(e.hint() == text.second);
    }
  }
}
