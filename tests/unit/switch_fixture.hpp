#pragma once
#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "migrate/switch.hpp"
#include "tests/support/host_tree.hpp"

namespace drover::test {

namespace fs = std::filesystem;

constexpr const char* kSwitchConfig = "{\n  \"debug\": true\n}\n";

/// What a data root is like before the migration.
struct Before {
  bool config = true;     ///< there is a configuration file
  bool previous = false;  ///< an engine was started with the target once: empty stores are in the way
  bool buildkit = true;   ///< the engine has BuildKit, and its records are there
};
inline const Before kAllBefore[] = {
    {true, false}, {true, true}, {false, false}, {false, true}, {true, true, false}};

/// A data root with everything staged, the next step being the switch.
class SwitchFixture {
 public:
  explicit SwitchFixture(const Before& before) : before_(before) {
    tree_.write("/d/image/overlay2/repositories.json", "the records");
    tree_.write("/d/overlay2/l/x", "the old home");
    tree_.write("/d/containers/c/config.v2.json", "overlay2");
    if (before.buildkit) tree_.write("/d/buildkit/cache.db", "the old cache");
    tree_.write("/d/volumes/v/_data/file", "a volume");
    if (before.config) tree_.write("/etc/daemon.json", kSwitchConfig);
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
  /// What an engine finds, whatever is kept.
  void check_new_in_force() {
    CHECK(read("/image/vfs/repositories.json") == "the records");
    CHECK(read("/vfs/dir/y") == "the new home");
    CHECK(read("/containers/c/config.v2.json") == "vfs");
    CHECK_FALSE(is_on_hold(tree_.read("/etc/daemon.json")));
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
    if (before_.config) CHECK(tree_.read("/etc/daemon.json") == kSwitchConfig);
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

}  // namespace drover::test
