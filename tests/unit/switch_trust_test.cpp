// What a switch believes of the disk where hands other than drover's were on it.
#include <doctest/doctest.h>
#include <unistd.h>

#include "drivers/sys/error.hpp"
#include "migrate/migrate.hpp"
#include "migrate/record_list.hpp"
#include "migrate/way_back.hpp"
#include "tests/unit/switch_fixture.hpp"

using namespace drover;
using namespace drover::test;

TEST_CASE("what an engine has made with the old driver on the new containers goes back with the old ones") {
  const std::string id(64, 'a'), ours(64, 'b');
  SwitchFixture fixture({true, true});
  auto steps = fixture.steps_forward();
  for (std::size_t i = 0; i + 4 < steps.size(); ++i) steps[i]();  // up to the twins
  fixture.tree().write("/etc/daemon.json", kSwitchConfig);
  auto config = [](const std::string& of, const std::string& driver) {
    return R"({"ID":")" + of + R"(","Name":"/hand","Driver":")" + driver + "\"}";
  };
  fixture.tree().write("/d/containers/" + id + "/config.v2.json", config(id, "overlay2"));
  fixture.tree().write("/d/containers/" + ours + "/config.v2.json", config(ours, "vfs"));
  roll_back(fixture.root(), fixture.folder());
  fixture.check_old();
  CHECK(fixture.exists("/containers/" + id + "/config.v2.json"));
  CHECK_FALSE(fixture.exists("/containers/" + ours));
}

TEST_CASE("a rollback does not give the new data up where the old data is not whole") {
  for (const char* lost : {"/kept/home", "/kept/image", "/kept/config"}) {
    CAPTURE(lost);
    SwitchFixture fixture({true, false});
    fixture.forward();
    fixture.folder().set_state(MigrationState::switched);
    fs::remove_all(fixture.folder().dir().path() + lost);
    CHECK_THROWS_AS(roll_back(fixture.root(), fixture.folder()), Error);
    fixture.check_new_in_force();
  }
}

TEST_CASE("records that were made anew are told from those that were put in place") {
  SwitchFixture fixture({true, false});
  fixture.forward();
  Dir kept = fixture.folder().kept(), image = fixture.root().sub("image");
  CHECK(were_put_in_place(kept, image.sub("vfs")) == true);
  const std::string number = std::to_string(image.sub("vfs").stat().st_ino);
  kept.write_atomic(kRecordsInode, number, 0600, ::geteuid(), ::getegid());  // as an earlier drover does
  CHECK(were_put_in_place(kept, image.sub("vfs")) == true);
  // The same number, of a folder that was made at another time.
  kept.write_atomic(kRecordsInode, number + " 1.0", 0600, ::geteuid(), ::getegid());
  CHECK(were_put_in_place(kept, image.sub("vfs")) == false);
  kept.unlink(kRecordsInode);
  CHECK_FALSE(were_put_in_place(kept, image.sub("vfs")));
}

TEST_CASE("the disk is believed where the journal says that nothing is switched") {
  for (const Before& before : kAllBefore) {
    std::size_t steps = SwitchFixture(before).steps_forward().size();
    for (std::size_t done = 1; done <= steps; ++done) {
      CAPTURE(done);
      SwitchFixture fixture(before);
      auto each = fixture.steps_forward();
      for (std::size_t i = 0; i < done; ++i) each[i]();
      fixture.folder().set_state(MigrationState::staging);
      correct_state(fixture.root(), fixture.folder());
      CHECK(fixture.folder().state() ==
            (done == steps ? MigrationState::switched : MigrationState::switching));
      roll_back(fixture.root(), fixture.folder());
      fixture.check_old();
    }
  }
}
