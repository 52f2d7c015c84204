// A home, or a folder of one, that is a symlink: no driver reads, makes or removes anything behind it.
#include <doctest/doctest.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "drivers/sys/error.hpp"
#include "tests/conformance/archive_host.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/drivers_under_test.hpp"
#include "tests/conformance/layer_script.hpp"
#include "tests/conformance/sample_host.hpp"

using namespace drover;
using namespace drover::test;

namespace fs = std::filesystem;

namespace {

/// While this lives, what was at `place` is at `outside`, and a symlink leads there.
class MovedOut {
 public:
  MovedOut(std::string place, std::string outside) : place_(std::move(place)), outside_(std::move(outside)) {
    if (fs::exists(place_))
      fs::rename(place_, outside_);
    else
      fs::create_directory(outside_);
    fs::create_directory_symlink(outside_, place_);
  }
  ~MovedOut() {
    std::error_code ignored;
    if (fs::is_symlink(place_)) fs::remove(place_, ignored);
    if (fs::exists(fs::path(place_).parent_path())) fs::rename(outside_, place_, ignored);
  }
  MovedOut(const MovedOut&) = delete;
  MovedOut& operator=(const MovedOut&) = delete;

 private:
  std::string place_, outside_;
};

bool is_refused(const std::function<void()>& call) {
  try {
    call();
    return false;
  } catch (const Error&) {
    return true;
  }
}

bool lies_in(const Dir& dir, const std::string& folder) {
  char path[PATH_MAX];
  ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(dir.fd())).c_str(), path, sizeof path);
  return n > 0 && std::string(path, static_cast<std::size_t>(n)).starts_with(folder);
}

void make_layer(Driver& driver, const LayerId& id, const std::optional<LayerId>& parent) {
  driver.create(id, parent, {}).root.write_new("file of " + id, "content", 0644);
  driver.seal(id);
}

/// Something for every driver that would follow: a layer that is nowhere else.
void put_decoy(const std::string& outside, const LayerId& id) {
  Dir layer = Dir::open(outside).make_path(id, 0755);
  for (const char* folder : {"diff", "root", "upper"})
    layer.make_path(folder, 0755).write_new("precious", "", 0644);
}

void check_reading(const Driver& home, const std::string& outside, const std::vector<LayerId>& ids,
                   const LayerId& decoy) {
  std::vector<LayerId> listed;
  is_refused([&] { listed = home.layers(); });
  CHECK(std::count(listed.begin(), listed.end(), decoy) == 0);
  CHECK_FALSE(home.contains(decoy));
  CHECK_THROWS_AS(home.open(decoy), Error);
  for (const LayerId& id : ids) {
    if (home.symlink_to(id)) CHECK_FALSE(home.contains(id));
    bool opened_outside = false;
    is_refused([&] { opened_outside = lies_in(home.open(id).root, outside); });
    CHECK_FALSE(opened_outside);
    if (auto place = home.place_in_home(id)) CHECK_FALSE(lies_in(place->holder, outside));
  }
}

/// `folder` is one of the home's, or empty: the home itself.
void check_not_followed(const Case& one, const std::string& folder) {
  CAPTURE(folder);
  TestHome home(one.driver, one.filesystem);
  const LayerId a = id_of("a"), b = id_of("b"), decoy = id_of("decoy");
  make_layer(*home, a, std::nullopt);
  make_layer(*home, b, a);
  home->close();
  const std::string outside = home.above() + "/outside";
  MovedOut moved(home.path() + (folder.empty() ? "" : "/" + folder), outside);
  put_decoy(outside, decoy);
  const Snapshot before = snapshot(outside);

  check_reading(*home, outside, {a, b}, decoy);
  is_refused([&] { home->make_home(); });
  is_refused([&] { home->create(id_of("new"), std::nullopt, {}); });
  is_refused([&] { home->create(id_of("child"), a, {}); });
  for (const LayerId& id : {id_of("child"), id_of("new"), decoy, b, a}) is_refused([&] { home->remove(id); });
  CHECK(changes(before, snapshot(outside)) == "");
  is_refused([&] { home->remove_home(); });
  CHECK(changes(before, snapshot(outside)) == "");
  CHECK_FALSE(fs::is_symlink(home.path()));
}

}  // namespace

TEST_CASE("neither a home nor any folder of one is followed where it is a symlink") {
  for (const Case& one : cases()) {
    SUBCASE(one.name().c_str()) {
      check_not_followed(one, "");
      for (const std::string& folder : folders_of(one.driver.kind)) check_not_followed(one, folder);
    }
  }
}

TEST_CASE("what is behind a symlink in a home is not deleted by a commit") {
  struct Store {
    std::string driver, folder, to;
  };
  for (const Store& store : std::vector<Store>{
           {"btrfs", "subvolumes", "vfs"}, {"vfs", "dir", "overlay2"}, {"aufs", "diff", "overlay2"}}) {
    CAPTURE(store.driver);
    TestFolder place(filesystem("ext4"));
    const std::string root = place.path() + "/docker", outside = place.path() + "/outside",
                      config = place.path() + "/daemon.json";
    for (const std::string& folder : {root + "/image/" + store.driver, root + "/" + store.driver, outside})
      fs::create_directories(folder);
    write_file(config, "{\"storage-driver\": \"" + store.driver + "\"}");
    fs::create_directory_symlink(outside, root + "/" + store.driver + "/" + store.folder);
    put_decoy(outside, id_of("decoy"));
    const Snapshot before = snapshot(outside);

    check_done(run_on(root, config, {"migrate", "--to", store.to, "--yes"}, nullptr));
    Run refused = run_on(root, config, {"commit", "--yes"}, nullptr);
    CHECK(refused.code == 1);
    CHECK_MESSAGE(has(message_of(refused), "would be deleted with the old data: `" + root + "/drover/"),
                  refused.err);
    CHECK_MESSAGE(has(message_of(refused), "/kept/home/" + store.folder + "`"), refused.err);
    check_done(run_on(root, config, {"rollback", "--yes"}, nullptr));
    CHECK(fs::is_symlink(root + "/" + store.driver + "/" + store.folder));
    CHECK(changes(before, snapshot(outside)) == "");
  }
}

TEST_CASE("nor are layers carried from there") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  check_done(host.run({"commit", "--yes"}));
  const std::string outside = host.root() + "-outside";
  for (const std::string& folder : {host.path("vfs/dir"), host.path("vfs")}) {
    MovedOut moved(folder, outside);
    const Snapshot before = snapshot(outside);
    Run refused = host.run({"migrate", "--to", "overlay2", "--yes"});
    CHECK(refused.code != 0);
    CHECK_MESSAGE(has(message_of(refused), "`" + folder + "`"), refused.err);
    CHECK_MESSAGE(has(message_of(refused), "symlink"), refused.err);
    CHECK_FALSE(host.exists("overlay2"));
    CHECK(changes(before, snapshot(outside)) == "");
  }
  CHECK(host.losses(DriverKind::vfs) == "");
}

TEST_CASE("an import writes nothing behind a symlink in the home") {
  ArchivedSample sample;
  struct Home {
    DriverKind kind;
    std::string filesystem, folder;
  };
  for (const Home& home : std::vector<Home>{{DriverKind::vfs, "ext4", "/dir"},
                                            {DriverKind::vfs, "ext4", ""},
                                            {DriverKind::overlay2, "ext4", "/l"},
                                            {DriverKind::btrfs, "btrfs", "/subvolumes"}}) {
    if (!filesystem(home.filesystem).missing.empty()) continue;
    ArchiveHost host(filesystem(home.filesystem), home.kind);
    const std::string name(driver_name(home.kind)), place = host.path(name) + home.folder,
                                                    outside = host.beside("outside");
    CAPTURE(place);
    fs::create_directories(fs::path(place).parent_path());
    fs::create_directory(outside);
    fs::create_directory_symlink(outside, place);
    fs::create_directory(host.path("volumes"));
    write_file(host.path("volumes/metadata.db"), "");  // the lock
    host.remember();
    const Snapshot before = snapshot(outside);
    Run refused = host.run({"import", "-i", sample.archive});
    CHECK(refused.code == 1);
    CHECK_MESSAGE(has(message_of(refused), "`" + place + "` is "), refused.err);
    CHECK_MESSAGE(has(message_of(refused), "a symlink"), refused.err);
    CHECK(host.changes() == "");
    CHECK(changes(before, snapshot(outside)) == "");
  }
}
