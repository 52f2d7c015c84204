#include "migrate/stage_records.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/sys/error.hpp"
#include "migrate/left_behind.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {

struct StagedFixture : StoreFixture {
  HostTree folder;
  Dir data_root = Dir::open(tree.root()), dir = Dir::open(folder.root());
  Inventory inventory = read();

  StagedFixture() { stage_records(data_root, inventory, DriverKind::vfs, dir); }
  void prove() const { prove_records(data_root, inventory, DriverKind::vfs, dir); }
  /// What the proof says, or nothing.
  std::string fault() const {
    try {
      prove();
      return "";
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::proof_failed);
      return e.what();
    }
  }
  /// Gives what was changed in the copy the times of the original.
  void same_times(const std::string& below) const {
    struct stat st;
    REQUIRE(::lstat(tree.path(below).c_str(), &st) == 0);
    const timespec times[2] = {st.st_atim, st.st_mtim};
    REQUIRE(::utimensat(AT_FDCWD, folder.path(below).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  }
  void change(const std::string& below, const std::string& from, const std::string& to) const {
    std::string text = folder.read(below);
    REQUIRE(text.find(from) != std::string::npos);
    folder.write(below, text.replace(text.find(from), from.size(), to));
  }
};

}  // namespace

TEST_CASE("the copy is the records, each container one of the new driver") {
  StagedFixture fixture;
  CHECK(fixture.fault() == "");
  for (const std::string& id : {fixture.worker, fixture.idle}) {
    std::string before = fixture.tree.read(fixture.container(id, "config.v2.json"));
    std::string after = fixture.folder.read(fixture.container(id, "config.v2.json"));
    std::size_t at = before.find("\"overlay2\"");
    REQUIRE(at != std::string::npos);
    CHECK(after == before.replace(at, 10, "\"vfs\""));
    CHECK(fixture.folder.read(fixture.container(id, "hostconfig.json")) ==
          fixture.tree.read(fixture.container(id, "hostconfig.json")));
  }
  CHECK(fixture.folder.read("/image/repositories.json") ==
        fixture.tree.read("/image/overlay2/repositories.json"));
}

TEST_CASE("what an earlier try left is made anew") {
  StagedFixture fixture;
  fixture.folder.write("/image/left", "over");
  fixture.folder.write("/containers/left/over", "");
  fixture.change(fixture.container(fixture.worker, "config.v2.json"), "vfs", "zfs");
  stage_records(fixture.data_root, fixture.inventory, DriverKind::vfs, fixture.dir);
  CHECK(fixture.fault() == "");
}

TEST_CASE("containers of another driver stay as they are") {
  StagedFixture fixture;
  fixture.replace(fixture.container(fixture.idle, "config.v2.json"), "\"overlay2\"", "\"aufs\"");
  fixture.inventory = fixture.read();
  REQUIRE(fixture.inventory.foreign_containers.size() == 1);
  stage_records(fixture.data_root, fixture.inventory, DriverKind::vfs, fixture.dir);
  CHECK(fixture.fault() == "");
  CHECK(fixture.folder.read(fixture.container(fixture.idle, "config.v2.json")) ==
        fixture.tree.read(fixture.container(fixture.idle, "config.v2.json")));
}

TEST_CASE("whatever differs in the copy is found") {
  StagedFixture fixture;
  fixture.tree.write("/containers/stray", "kept");
  fixture.tree.link("/containers/link", "stray");
  stage_records(fixture.data_root, fixture.inventory, DriverKind::vfs, fixture.dir);
  REQUIRE(fixture.fault() == "");
  std::string worker = fixture.container(fixture.worker, "");
  std::string says;
  SUBCASE("a byte of the images' records") {
    fixture.change("/image/repositories.json", "app", "apq");
    says = "`repositories.json`";
  }
  SUBCASE("a record too many") {
    fixture.folder.write("/image/layerdb/extra", "");
    says = "`layerdb`";
  }
  SUBCASE("a record too few") {
    std::filesystem::remove(fixture.folder.path("/image/repositories.json"));
    says = "";
  }
  SUBCASE("a container too many") {
    fixture.folder.write("/containers/extra/x", "");
    fixture.same_times("/containers");
    says = "`extra`: is in the target only";
  }
  SUBCASE("a container too few") {
    std::filesystem::remove_all(fixture.folder.path(worker));
    fixture.same_times("/containers");
    says = "`" + fixture.worker + "`: is missing in the target";
  }
  SUBCASE("a byte of a container's configuration") {
    fixture.change(worker + "config.v2.json", "\"Name\"", "\"name\"");
    says = "config.v2.json`";
  }
  SUBCASE("a driver that is not the target") {
    fixture.change(worker + "config.v2.json", "\"vfs\"", "\"zfs\"");
    says = "config.v2.json`";
  }
  SUBCASE("a log") {
    fixture.folder.write(worker + fixture.worker + "-json.log", "another");
    says = "-json.log`";
  }
  SUBCASE("the mode of a folder") {
    std::filesystem::permissions(fixture.folder.path(worker + "mounts"), std::filesystem::perms::all);
    says = "/mounts`: type and mode";
  }
  SUBCASE("no configuration of a container") {
    std::filesystem::remove(fixture.folder.path(worker + "config.v2.json"));
    fixture.same_times(worker);
    says = "config.v2.json`";
  }
  SUBCASE("a byte of what is no container") {
    fixture.change("/containers/stray", "kept", "kelp");
    fixture.same_times("/containers/stray");
    says = "`stray`: content differs";
  }
  SUBCASE("the target of a symlink among the containers") {
    std::filesystem::remove(fixture.folder.path("/containers/link"));
    fixture.folder.link("/containers/link", "strax");
    fixture.same_times("/containers/link");
    fixture.same_times("/containers");
    says = "`link`: the symlink's target differs";
  }
  SUBCASE("the mode of the containers' folder") {
    std::filesystem::permissions(fixture.folder.path("/containers"), std::filesystem::perms::all);
    says = "`/`: type and mode";
  }
  std::string fault = fixture.fault();
  CHECK(fault.starts_with("the copy of Docker's records is not what it was: "));
  CHECK_MESSAGE(fault.find(says) != std::string::npos, fault);
}

TEST_CASE("the build cache's records are copied, and none are an empty folder") {
  HostTree tree, folder;
  Dir root = Dir::open(tree.root()), dir = Dir::open(folder.root());
  folder.write("/buildkit/left", "over");
  stage_build_records(root, {}, dir);
  prove_build_records(root, {}, dir);
  CHECK(folder.names("/buildkit").empty());
  folder.write("/buildkit/extra", "");
  CHECK_THROWS_AS(prove_build_records(root, {}, dir), Error);
  tree.write("/buildkit/cache.db", "1234");
  tree.write("/buildkit/content/blobs/sha256/x", "blob");
  stage_build_records(root, {}, dir);
  prove_build_records(root, {}, dir);
  CHECK(folder.names("/buildkit") == std::vector<std::string>{"cache.db", "content"});
  folder.write("/buildkit/cache.db", "1243");
  CHECK_THROWS_AS(prove_build_records(root, {}, dir), Error);
}

TEST_CASE("the driver is the one word that changes in a container's configuration") {
  CHECK(
      config_for_driver(R"({ "ID":"x",  "Driver" : "aufs","n": 1.50, "u":"\u00e9"})", DriverKind::overlay2) ==
      R"({ "ID":"x",  "Driver" : "overlay2","n": 1.50, "u":"\u00e9"})");
  CHECK(config_for_driver(R"({"Config":{"Driver":"mine"},"Driver":"vfs"})", DriverKind::fuse_overlayfs) ==
        R"({"Config":{"Driver":"mine"},"Driver":"fuse-overlayfs"})");
  CHECK_THROWS_AS(config_for_driver("[]", DriverKind::vfs), Error);
}

TEST_CASE("records of what is left behind are not copied, and the proof sees it if they are") {
  StoreFixture fixture;
  fixture.tree.write("/buildkit/cache.db", "records");
  HostTree folder;
  Dir data_root = Dir::open(fixture.tree.root()), dir = Dir::open(folder.root());
  Inventory inventory = fixture.read();
  FactsOfLayers facts;
  for (const LayerId& id : fixture.home.ids) facts[id].stack = {id};
  leave_behind(inventory, facts,
               {{"damage", {}, true, {}, {{{Part::Kind::layer, fixture.app}, "app"}}},
                {"damage", {}, false, {}, {{{Part::Kind::build_cache, ""}, ""}}}});
  stage_records(data_root, inventory, DriverKind::vfs, dir);
  prove_records(data_root, inventory, DriverKind::vfs, dir);
  stage_build_records(data_root, inventory, dir);
  prove_build_records(data_root, inventory, dir);
  CHECK(dir.sub("buildkit").list().empty());
  // What is staged is a whole store by itself.
  Dir layers = dir.walk("image/layerdb/sha256"), images = dir.walk("image/imagedb/content/sha256");
  CHECK(layers.list().size() == 2);
  CHECK(images.list().size() == 2);
  CHECK(dir.sub("containers").list().size() == 1);
  CHECK(dir.sub("image").read("repositories.json") ==
        R"({"Repositories":{"base":{"base:1":"sha256:)" + fixture.base_image +
            R"("},"other":{"other:1":"sha256:)" + fixture.other_image + R"("}}})");
  SUBCASE("a layer") { layers.make_dir(fixture.app, 0700); }
  SUBCASE("an image") { images.write_new(fixture.app_image, "x", 0600); }
  SUBCASE("a container") { dir.sub("containers").make_dir(fixture.worker, 0700); }
  SUBCASE("a tag") {
    dir.sub("image").write_atomic("repositories.json",
                                  data_root.walk("image/overlay2").read("repositories.json"), 0600,
                                  ::geteuid(), ::getegid());
  }
  SUBCASE("none") { return; }
  CHECK_THROWS_AS(prove_records(data_root, inventory, DriverKind::vfs, dir), Error);
}
