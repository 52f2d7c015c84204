// The switch forward and backward, from every state of the disk in which it can have been cut.
#include "migrate/switch.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "drivers/sys/error.hpp"
#include "migrate/way_back.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;
namespace fs = std::filesystem;

namespace {

constexpr const char* kConfig = "{\n  \"debug\": true\n}\n";

/// What a data root is like before the migration.
struct Before {
  bool config = true;     ///< there is a configuration file
  bool previous = false;  ///< an engine was started with the target once: empty stores are in the way
  bool buildkit = true;   ///< the engine has BuildKit, and its records are there
};
const Before kAllBefore[] = {{true, false}, {true, true}, {false, false}, {false, true}, {true, true, false}};

/// A data root with everything staged, the next step being the switch.
class SwitchFixture {
 public:
  explicit SwitchFixture(const Before& before) : before_(before) {
    tree_.write("/d/image/overlay2/repositories.json", "the records");
    tree_.write("/d/overlay2/l/x", "the old home");
    tree_.write("/d/containers/c/config.v2.json", "overlay2");
    if (before.buildkit) tree_.write("/d/buildkit/cache.db", "the old cache");
    tree_.write("/d/volumes/v/_data/file", "a volume");
    if (before.config) tree_.write("/etc/daemon.json", kConfig);
    if (before.previous) {
      tree_.write("/d/vfs/dir/.keep", "an empty store");
      tree_.write("/d/image/vfs/repositories.json", "records of nothing");
    }
    root_ = Dir::open(tree_.path("/d"));
    MigrationRecord record;
    record.from = DriverKind::overlay2;
    record.to = DriverKind::vfs;
    record.config_path = tree_.path("/etc/daemon.json");
    folder_.emplace(MigrationFolder::create(root_, record));
    below_ = "/d/drover/" + folder_->id();
    tree_.write(below_ + "/home/dir/y", "the new home");
    tree_.write(below_ + "/image/repositories.json", "the records");
    tree_.write(below_ + "/containers/c/config.v2.json", "vfs");
    fs::create_directory(tree_.path(below_ + "/buildkit"));
    if (before.buildkit) tree_.write(below_ + "/buildkit/cache.db", "the new cache");
    Switch(root_, *folder_).prepare();
    folder_->set_state(MigrationState::switching);
  }

  MigrationFolder& folder() { return *folder_; }
  const Dir& root() const { return root_; }
  HostTree& tree() { return tree_; }
  bool exists(const std::string& below) const { return fs::exists(tree_.path("/d" + below)); }
  /// Puts a copy in the data root's place, as an admin does who takes it to another disk in the middle.
  void copy_root() {
    fs::rename(tree_.path("/d"), tree_.path("/original"));
    fs::copy(tree_.path("/original"), tree_.path("/d"), fs::copy_options::recursive);
    folder_.reset();
    root_ = Dir::open(tree_.path("/d"));
    folder_.emplace(*MigrationFolder::find(root_));
  }
  void forward() { Switch(root_, *folder_).forward(); }
  void backward() { Switch(root_, *folder_).backward(); }

  /// The steps of the switch one by one, in their order, as a cut leaves the disk after each.
  std::vector<std::function<void()>> steps_forward() {
    std::vector<std::function<void()>> steps;
    steps.push_back([this] { config().hold(); });
    if (before_.previous) steps.push_back(moving("/image/vfs", "/kept/previous-image", true));
    steps.push_back(moving("/image/vfs", "/image", false));
    if (before_.previous) steps.push_back(moving("/vfs", "/kept/previous-home", true));
    steps.push_back(moving("/vfs", "/home", false));
    steps.push_back(moving("/containers", "/kept/containers", true));
    steps.push_back(moving("/containers", "/containers", false));
    if (before_.buildkit) steps.push_back(moving("/buildkit", "/kept/buildkit", true));
    steps.push_back(moving("/buildkit", "/buildkit", false));
    steps.push_back([this] { config().set_new(); });
    steps.push_back(moving("/overlay2", "/kept/home", true));
    steps.push_back(moving("/image/overlay2", "/kept/image", true));
    return steps;
  }
  std::vector<std::function<void()>> steps_backward() {
    std::vector<std::function<void()>> steps;
    steps.push_back([this] { config().hold(); });
    steps.push_back(moving("/image/overlay2", "/kept/image", false));
    steps.push_back(moving("/overlay2", "/kept/home", false));
    steps.push_back(moving("/containers", "/containers", true));
    steps.push_back(moving("/containers", "/kept/containers", false));
    steps.push_back(moving("/buildkit", "/buildkit", true));
    if (before_.buildkit) steps.push_back(moving("/buildkit", "/kept/buildkit", false));
    steps.push_back([this] { config().set_old(); });
    steps.push_back(moving("/vfs", "/home", true));
    if (before_.previous) steps.push_back(moving("/vfs", "/kept/previous-home", false));
    steps.push_back(moving("/image/vfs", "/image", true));
    if (before_.previous) steps.push_back(moving("/image/vfs", "/kept/previous-image", false));
    return steps;
  }

  void check_new() {
    CHECK(read("/image/vfs/repositories.json") == "the records");
    CHECK(read("/vfs/dir/y") == "the new home");
    CHECK(read("/containers/c/config.v2.json") == "vfs");
    CHECK_FALSE(exists("/overlay2"));
    CHECK_FALSE(exists("/image/overlay2"));
    std::string text = tree_.read("/etc/daemon.json");
    CHECK(text.find("\"storage-driver\": \"vfs\"") != std::string::npos);
    CHECK((text.find("\"debug\": true") != std::string::npos) == before_.config);
    CHECK_FALSE(is_on_hold(text));
    CHECK(tree_.read(below_ + "/kept/home/l/x") == "the old home");
    CHECK(tree_.read(below_ + "/kept/containers/c/config.v2.json") == "overlay2");
    CHECK(exists("/buildkit/cache.db") == before_.buildkit);
    if (before_.buildkit) {
      CHECK(read("/buildkit/cache.db") == "the new cache");
      CHECK(tree_.read(below_ + "/kept/buildkit/cache.db") == "the old cache");
    }
    check_volume();
  }
  void check_old() {
    CHECK(read("/image/overlay2/repositories.json") == "the records");
    CHECK(read("/overlay2/l/x") == "the old home");
    CHECK(read("/containers/c/config.v2.json") == "overlay2");
    CHECK(exists("/buildkit") == before_.buildkit);
    if (before_.buildkit) CHECK(read("/buildkit/cache.db") == "the old cache");
    CHECK(exists("/vfs") == before_.previous);
    CHECK(exists("/image/vfs") == before_.previous);
    if (before_.previous) {
      CHECK(read("/vfs/dir/.keep") == "an empty store");
      CHECK(read("/image/vfs/repositories.json") == "records of nothing");
    }
    CHECK(fs::exists(tree_.path("/etc/daemon.json")) == before_.config);
    if (before_.config) CHECK(tree_.read("/etc/daemon.json") == kConfig);
    check_volume();
  }

 private:
  std::string read(const std::string& below) const { return tree_.read("/d" + below); }
  void check_volume() const { CHECK(read("/volumes/v/_data/file") == "a volume"); }

  /// A rename between the data root and the migration's folder.
  std::function<void()> moving(const std::string& in_root, const std::string& in_folder, bool aside) {
    std::string root = tree_.path("/d" + in_root), folder = tree_.path(below_ + in_folder);
    return [=] { aside ? fs::rename(root, folder) : fs::rename(folder, root); };
  }
  SwitchConfig config() {
    kept_ = Dir::open(tree_.path(below_ + "/kept"));
    return {kept_, tree_.path("/etc/daemon.json"), DriverKind::overlay2, DriverKind::vfs, {}};
  }

  Before before_;
  HostTree tree_;
  Dir root_, kept_;
  std::optional<MigrationFolder> folder_;
  std::string below_;
};

}  // namespace

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
      fixture.tree().write("/etc/daemon.json", kConfig);
      CHECK_THROWS_AS(way.require_way_forward(), Error);
      fixture.tree().write("/etc/daemon.json", held);
    }
    CHECK(is_new);
  }
}

TEST_CASE("what an engine has made with the old driver on the new containers goes back with the old ones") {
  const std::string id(64, 'a'), ours(64, 'b');
  SwitchFixture fixture({true, true});
  auto steps = fixture.steps_forward();
  for (std::size_t i = 0; i + 4 < steps.size(); ++i) steps[i]();  // up to the twins
  fixture.tree().write("/etc/daemon.json", kConfig);
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
