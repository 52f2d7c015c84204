// What somebody has put into a driver's home: it is named, and no commit deletes it.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "drivers/clone_tree.hpp"
#include "migrate/foreign_entries.hpp"
#include "tests/conformance/move_host.hpp"

using namespace drover;
using namespace drover::test;

namespace fs = std::filesystem;

namespace {

/// A copy of a layer, as admins make one before they try something.
std::string add_copy(const std::string& home, const LayerId& id) {
  Dir dir = Dir::open(home);
  dir.make_dir(id + ".bak", 0710);
  clone_tree(dir.sub(id), dir.sub(id + ".bak"), false);
  return dir.path_of(id + ".bak");
}

LayerId writable_of(const SampleHost& host) { return host.inventory().mounts.begin()->second.mount_id; }

}  // namespace

TEST_CASE("what an engine makes in a home is not foreign, and what somebody made there is") {
  for (const Case& one : cases()) {
    CAPTURE(one.name());
    TestHome home(one.driver, one.filesystem);
    home->make_home();
    LayerId id(64, 'a');
    home->create(id, std::nullopt, {});
    home->seal(id);
    Dir dir = Dir::open(home.path());
    CHECK(foreign_in_home(dir, *home).empty());
    dir.write_new("a note", "", 0644);
    std::vector<std::string> foreign{dir.path_of("a note")};
    // The ID of a layer is one's where layers are: elsewhere it is the name of a copy.
    auto names = home->furniture();
    if (std::find(names.begin(), names.end(), "#") == names.end()) {
      dir.make_dir(id, 0700);
      foreign.push_back(dir.path_of(id));
    }
    CHECK(foreign_in_home(dir, *home) == foreign);
    for (const std::string& name : foreign) dir.remove_tree(fs::path(name).filename().string());
    CHECK(foreign_in_home(dir, *home).empty());
  }
}

TEST_CASE("what is no folder where a home has one is foreign, and a symlink in a layer's place") {
  for (const Case& one : cases()) {
    CAPTURE(one.name());
    TestHome home(one.driver, one.filesystem);
    home->close();
    Dir dir = Dir::open(home.path());
    for (const std::string& folder : folders_of(one.driver.kind)) {
      const std::vector<std::string> foreign{dir.path_of(folder)};
      CAPTURE(folder);
      const bool had = dir.exists(folder);
      if (had) dir.rename(folder, Dir::open(home.above()), "aside");
      dir.make_symlink(folder, "../aside");
      CHECK(foreign_in_home(dir, *home) == foreign);
      dir.unlink(folder);
      dir.write_new(folder, "", 0600);
      CHECK(foreign_in_home(dir, *home) == foreign);
      dir.unlink(folder);
      if (had) Dir::open(home.above()).rename("aside", dir, folder);
      CHECK(foreign_in_home(dir, *home).empty());
    }
    for (std::string_view name : home->furniture()) {
      if (!name.ends_with('#')) continue;
      Dir layers = dir.walk(name.substr(0, name.size() - 1));
      layers.make_symlink(LayerId(64, 'b'), "../elsewhere");
      CHECK(foreign_in_home(dir, *home) == std::vector<std::string>{layers.path_of(LayerId(64, 'b'))});
      layers.unlink(LayerId(64, 'b'));
    }
  }
}

TEST_CASE("a commit does not delete what nobody has carried") {
  SampleHost host(filesystem("ext4"));
  std::string copy = add_copy(host.path("overlay2"), writable_of(host));
  Run plan = host.run({"migrate", "--to", "vfs", "--dry-run"});
  CHECK_MESSAGE(has(plan.out, "must be elsewhere before a commit: `" + copy + "`"), plan.out);
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  std::string kept = host.migration() + "/kept/home/" + fs::path(copy).filename().string();
  Run refused = host.run({"commit", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "would be deleted with the old data: `" + kept + "`"), refused.err);
  CHECK(host.state() == MigrationState::switched);
  CHECK(fs::exists(kept + "/diff"));
  fs::rename(kept, host.path("moved elsewhere"));
  check_done(host.run({"commit", "--yes"}));
  CHECK(fs::exists(host.path("moved elsewhere/diff")));
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("nor does one of a moved data root") {
  MoveHost move("xfs");
  std::string copy = add_copy(move.host.path("overlay2"), writable_of(move.host));
  check_done(move.migrate());
  Run refused = move.run_by_config({"commit", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "would be deleted with the old data: `" + copy + "`"), refused.err);
  CHECK(fs::exists(copy + "/diff"));
  fs::remove_all(copy);
  check_done(move.run_by_config({"commit", "--yes"}));
  CHECK_FALSE(move.host.exists("overlay2"));
}
