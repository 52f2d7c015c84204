// The switch forward and backward, from every state of the disk in which it can have been cut.
#include "migrate/switch.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "drivers/sys/error.hpp"
#include "migrate/way_back.hpp"
#include "tests/unit/switch_fixture.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

TEST_CASE("preparing changes nothing that an engine looks at") {
  for (const Before& before : kAllBefore) SwitchFixture(before).check_old();
}

TEST_CASE("forward, backward, forward again, each also twice") {
  for (const Before& before : kAllBefore) {
    SwitchFixture fixture(before);
    for (int round = 0; round < 2; ++round) {
      fixture.forward();
      fixture.check_new();
      fixture.forward();
      fixture.check_new();
      fixture.backward();
      fixture.check_old();
      fixture.backward();
      fixture.check_old();
    }
  }
}

TEST_CASE("cut after any step forward, it goes on, or goes back") {
  for (const Before& before : kAllBefore) {
    std::size_t count = SwitchFixture(before).steps_forward().size();
    for (std::size_t done = 0; done <= count; ++done) {
      for (int way : {0, 1, 2, 3}) {
        bool onward = way & 1, copied = way & 2;
        CAPTURE(before.config);
        CAPTURE(before.previous);
        CAPTURE(before.buildkit);
        CAPTURE(done);
        CAPTURE(onward);
        CAPTURE(copied);
        SwitchFixture fixture(before);
        auto steps = fixture.steps_forward();
        for (std::size_t i = 0; i < done; ++i) steps[i]();
        if (copied) fixture.copy_root();
        if (onward) {
          fixture.forward();
          fixture.check_new();
        }
        fixture.backward();
        fixture.check_old();
      }
    }
  }
}

TEST_CASE("cut after any step backward, it goes on") {
  for (const Before& before : kAllBefore) {
    std::size_t count = SwitchFixture(before).steps_backward().size();
    for (std::size_t done = 0; done <= count; ++done) {
      for (bool copied : {false, true}) {
        CAPTURE(before.config);
        CAPTURE(before.previous);
        CAPTURE(before.buildkit);
        CAPTURE(done);
        CAPTURE(copied);
        SwitchFixture fixture(before);
        fixture.forward();
        auto steps = fixture.steps_backward();
        for (std::size_t i = 0; i < done; ++i) steps[i]();
        if (copied) fixture.copy_root();
        fixture.backward();
        fixture.check_old();
      }
    }
  }
}

TEST_CASE("the steps are written down in their order") {
  SwitchFixture fixture({true, false});
  fixture.forward();
  std::vector<std::string> steps;
  std::istringstream lines(Dir::open(fixture.folder().dir().path()).read("journal"));
  for (std::string line; std::getline(lines, line);)
    if (auto json = nlohmann::json::parse(line); json["event"] == "step") steps.push_back(json["name"]);
  std::string d = fixture.root().path();
  CHECK(steps == std::vector<std::string>{"`" + d + "/image/vfs` is in place", "`" + d + "/vfs` is in place",
                                          "`" + d + "/containers` is in place",
                                          "`" + d + "/buildkit` is in place", "the configuration names vfs",
                                          "`" + d + "/overlay2` is put aside",
                                          "`" + d + "/image/overlay2` is put aside"});
}

TEST_CASE("what has come into being where the old setup was is not written over") {
  SUBCASE("during a switch that somebody has taken off hold") {
    SwitchFixture fixture({true, false});
    auto steps = fixture.steps_forward();
    for (std::size_t i = 0; i < 4; ++i) steps[i]();
    REQUIRE_FALSE(fixture.exists("/containers"));
    fixture.tree().write("/d/containers/new/config.v2.json", "precious");
    CHECK_THROWS_AS(fixture.forward(), Error);
    CHECK_THROWS_AS(fixture.backward(), Error);
    CHECK(fixture.tree().read("/d/containers/new/config.v2.json") == "precious");
    fs::remove_all(fixture.tree().path("/d/containers"));
    fixture.backward();
    fixture.check_old();
  }
  for (const char* place : {"/overlay2/new", "/image/overlay2/new"}) {
    SwitchFixture fixture({true, false});
    fixture.forward();
    fixture.tree().write(std::string("/d") + place, "precious");
    CHECK_THROWS_AS(fixture.backward(), Error);
    CHECK(fixture.tree().read(std::string("/d") + place) == "precious");
    fs::remove_all(fs::path(fixture.tree().path(std::string("/d") + place)).parent_path());
    fixture.check_new();
    fixture.backward();
    fixture.check_old();
  }
}

TEST_CASE("what the engine has made of the build cache is taken back with the rest") {
  for (const Before& before : {Before{true, false, true}, Before{true, false, false}}) {
    CAPTURE(before.buildkit);
    for (bool twice : {false, true}) {
      SwitchFixture fixture(before);
      fixture.forward();
      fixture.tree().write("/d/buildkit/cache.db", "made since");
      fixture.tree().write("/d/buildkit/snapshots.db", "made since");
      if (twice) fixture.backward();
      fixture.backward();
      CHECK_FALSE(fixture.exists("/buildkit/snapshots.db"));
      fixture.check_old();
    }
  }
}

TEST_CASE("old containers are not taken for new ones that are lost") {
  SwitchFixture fixture({true, false});
  fixture.forward();
  fs::remove_all(fixture.tree().path("/d/containers"));
  fs::remove_all(fixture.tree().path("/d/buildkit"));
  for (int round = 0; round < 2; ++round) {
    fixture.backward();
    fixture.check_old();
  }
}

TEST_CASE("rollback and commit go by the state") {
  SUBCASE("switched, then back") {
    SwitchFixture fixture({true, true});
    fixture.forward();
    fixture.folder().set_state(MigrationState::switched);
    roll_back(fixture.root(), fixture.folder());
    fixture.check_old();
    CHECK_FALSE(fixture.exists("/drover"));
  }
  SUBCASE("half switched, then back") {
    SwitchFixture fixture({true, false});
    auto steps = fixture.steps_forward();
    for (std::size_t i = 0; i < 4; ++i) steps[i]();
    CHECK_THROWS_WITH_AS(commit(fixture.folder()), "the migration is not finished: it is switching", Error);
    roll_back(fixture.root(), fixture.folder());
    fixture.check_old();
    CHECK_FALSE(fixture.exists("/drover"));
  }
  SUBCASE("rolling back goes on") {
    SwitchFixture fixture({false, false});
    fixture.forward();
    fixture.folder().set_state(MigrationState::rolling_back);
    fixture.steps_backward()[0]();
    CHECK_THROWS_AS(commit(fixture.folder()), Error);
    roll_back(fixture.root(), fixture.folder());
    fixture.check_old();
    CHECK_FALSE(fixture.exists("/drover"));
  }
  SUBCASE("committed") {
    SwitchFixture fixture({true, true});
    fixture.forward();
    fixture.folder().set_state(MigrationState::switched);
    commit(fixture.folder());
    CHECK_FALSE(fixture.exists("/drover"));
    CHECK(fixture.tree().read("/d/vfs/dir/y") == "the new home");
    CHECK(fixture.tree().read("/d/containers/c/config.v2.json") == "vfs");
  }
  SUBCASE("committing goes on, and cannot go back") {
    SwitchFixture fixture({true, false});
    fixture.forward();
    fixture.folder().set_state(MigrationState::committing);
    fs::remove_all(fixture.folder().kept_home_path());
    CHECK_THROWS_WITH_AS(roll_back(fixture.root(), fixture.folder()),
                         "the old setup is being deleted already", Error);
    commit(fixture.folder());
    CHECK_FALSE(fixture.exists("/drover"));
    CHECK(fixture.exists("/vfs/dir/y"));
  }
}

TEST_CASE("a switch goes on only where no engine can have run on the old data in between") {
  for (const Before& before : kAllBefore) {
    SwitchFixture fixture(before);
    auto steps = fixture.steps_forward();
    Switch way(fixture.root(), fixture.folder());
    CHECK(way.is_untouched());
    CHECK_THROWS_AS(way.require_way_forward(), Error);
    bool is_new = false;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      CAPTURE(i);
      steps[i]();
      // From there on an engine finds the new setup.
      is_new = is_new || !is_on_hold(fixture.tree().read("/etc/daemon.json"));
      CHECK_FALSE(way.is_untouched());
      CHECK_NOTHROW(way.require_way_forward());
      if (is_new) continue;
      // Somebody takes the hold away to start the engine.
      std::string held = fixture.tree().read("/etc/daemon.json");
      fixture.tree().write("/etc/daemon.json", kSwitchConfig);
      CHECK_THROWS_AS(way.require_way_forward(), Error);
      fixture.tree().write("/etc/daemon.json", held);
    }
    CHECK(is_new);
  }
}
