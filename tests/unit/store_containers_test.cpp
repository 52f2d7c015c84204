#include <doctest/doctest.h>

#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;

TEST_CASE("a damaged writable layer names its container") {
  StoreFixture fixture;
  std::string layer = "the writable layer of " + short_id(fixture.worker) + " cannot be used: ";
  const MountRecord& mount = fixture.root.mount(fixture.worker);
  SUBCASE("no mount-id") {
    fixture.remove(fixture.mount(fixture.worker, "mount-id"));
    CHECK(problem_of(fixture) == layer + "its mount-id is missing | worker | fatal");
  }
  SUBCASE("bad init-id") {
    fixture.tree.write(fixture.mount(fixture.worker, "init-id"), "..");
    CHECK(problem_of(fixture) == layer + "its init-id is `..` | worker | fatal");
  }
  SUBCASE("no files") {
    fixture.home.ids.erase(mount.mount_id);
    CHECK(problem_of(fixture) ==
          layer + "the overlay2 home lacks its files, " + mount.mount_id + " | worker | fatal");
  }
  SUBCASE("no init files") {
    fixture.home.ids.erase(*mount.init_id);
    CHECK(problem_of(fixture) ==
          layer + "the overlay2 home lacks its files, " + *mount.init_id + " | worker | fatal");
  }
  SUBCASE("the files of an image's layer") {
    const LayerId& cache_id = fixture.root.layer(fixture.other).cache_id;
    fixture.tree.write(fixture.mount(fixture.worker, "mount-id"), cache_id);
    CHECK(problem_of(fixture) == layer + "its files, " + short_id(cache_id) + ", are also those of layer " +
                                     short_id(fixture.other) + " | worker | fatal");
  }
  SUBCASE("gone") {
    fixture.remove(fixture.mount(fixture.worker, ""));
    CHECK(problem_of(fixture) ==
          "container " + short_id(fixture.worker) + " has no writable layer in the records | worker | fatal");
  }
}

TEST_CASE("a container that was being removed has lost its writable layer already") {
  StoreFixture fixture;
  fixture.replace(fixture.container(fixture.worker, "config.v2.json"), "\"Dead\":false", "\"Dead\":true");
  SUBCASE("its record") {
    fixture.remove(fixture.mount(fixture.worker, ""));
    CHECK(problem_of(fixture) == "container " + short_id(fixture.worker) +
                                     " has no writable layer in the records | worker | ignored");
  }
  SUBCASE("its files") {
    fixture.home.ids.erase(fixture.root.mount(fixture.worker).mount_id);
    CHECK(problem_of(fixture).ends_with(" | worker | ignored"));
  }
  CHECK(fixture.read().containers.size() == 1);
}

TEST_CASE("writable layers that no container has are passed over") {
  StoreFixture fixture;
  SUBCASE("of a container that is gone: its files are carried over") {
    fixture.remove(fixture.container(fixture.worker, ""));
    CHECK(problem_of(fixture) == "the writable layer of " + short_id(fixture.worker) +
                                     " belongs to no container of overlay2 | | ignored");
    CHECK(fixture.read().mounts.size() == 2);
  }
  SUBCASE("of a build: its files are carried over") {
    std::string build = "0123456789abcdefghijklmno";
    fixture.tree.write(fixture.mount(build, "mount-id"), std::string(64, 'b'));
    fixture.tree.write(fixture.mount(build, "parent"), "sha256:" + fixture.app);
    fixture.home.ids.insert(std::string(64, 'b'));
    CHECK(problem_of(fixture) == "");
    CHECK(fixture.read().mounts.size() == 3);
  }
  SUBCASE("of a build, without files") {
    fixture.tree.write(fixture.mount("0123456789abcdefghijklmno", "mount-id"), std::string(64, 'b'));
    CHECK(problem_of(fixture) ==
          "the writable layer of 0123456789ab cannot be used: the overlay2 home lacks its files, " +
              std::string(64, 'b') + " | | ignored");
    CHECK(fixture.read().mounts.size() == 2);
  }
  SUBCASE("of a build, on a layer that is gone") {
    fixture.tree.write(fixture.mount("0123456789abcdefghijklmno", "mount-id"), std::string(64, 'b'));
    fixture.tree.write(fixture.mount("0123456789abcdefghijklmno", "parent"),
                       "sha256:" + std::string(64, '0'));
    fixture.home.ids.insert(std::string(64, 'b'));
    CHECK(problem_of(fixture) ==
          "the writable layer of 0123456789ab cannot be used: its image's layers are not there | | ignored");
    CHECK(fixture.read().mounts.size() == 2);
  }
}

TEST_CASE("a damaged container configuration") {
  StoreFixture fixture;
  std::string name = short_id(fixture.worker);
  std::string container = "container " + name + " cannot be used: ", end = " | " + name + " | fatal";
  auto is_reported = [&](const std::string& what) {
    CHECK(problem_of(fixture) == container + what + end);
    CHECK(fixture.read().containers.size() == 1);
  };
  auto config = fixture.container(fixture.worker, "config.v2.json");
  SUBCASE("gone") {
    fixture.remove(config);
    is_reported("its config.v2.json is missing");
  }
  SUBCASE("cut off") {
    fixture.tree.write(config, fixture.tree.read(config).substr(0, 500));
    is_reported("its config.v2.json is no valid JSON");
  }
  SUBCASE("of another") {
    fixture.replace(config, "\"ID\":\"" + fixture.worker, "\"ID\":\"" + fixture.idle);
    is_reported("its config.v2.json is of another container");
  }
  SUBCASE("a key of the wrong type") {
    fixture.replace(config, "\"Driver\":\"overlay2\"", "\"Driver\":[]");
    is_reported("its config.v2.json has a `Driver` that is no text");
  }
  SUBCASE("nested without end") {
    fixture.tree.write(config, std::string(1 << 20, '['));
    is_reported("its config.v2.json is nested too deep");
  }
  SUBCASE("too large") {
    fixture.tree.write(config, std::string((16 << 20) + 1, ' '));
    is_reported("its config.v2.json is larger than 16777216 bytes");
  }
  SUBCASE("host configuration cut off") {
    fixture.tree.write(fixture.container(fixture.worker, "hostconfig.json"), "{");
    is_reported("its hostconfig.json is no valid JSON");
  }
}

TEST_CASE("what an engine would follow a symlink to is no damage, and not left out") {
  StoreFixture fixture;
  auto behind_symlink = [&](const std::string& below) {
    std::string path = fixture.tree.path(below);
    while (path.ends_with('/')) path.pop_back();
    std::filesystem::rename(path, fixture.tree.path("/elsewhere"));
    std::filesystem::create_symlink(fixture.tree.path("/elsewhere"), path);
    return path;
  };
  std::string path, what, name = short_id(fixture.worker), of = name;
  SUBCASE("a container's folder") {
    path = behind_symlink(fixture.container(fixture.worker, ""));
    what = "container " + name + " cannot be used: `" + path + "` is a symlink";
  }
  SUBCASE("its configuration") {
    path = behind_symlink(fixture.container(fixture.worker, "config.v2.json"));
    what = "container " + name + " cannot be used: its config.v2.json is a symlink";
  }
  SUBCASE("its host configuration") {
    path = behind_symlink(fixture.container(fixture.worker, "hostconfig.json"));
    what = "container " + name + " cannot be used: its hostconfig.json is a symlink";
  }
  SUBCASE("the record of its writable layer") {
    path = behind_symlink(fixture.mount(fixture.worker, ""));
    what = "the writable layer of " + name + " cannot be used: `" + path + "` is a symlink";
    of = "worker";
  }
  SUBCASE("a word of that") {
    path = behind_symlink(fixture.mount(fixture.worker, "mount-id"));
    what = "the writable layer of " + name + " cannot be used: its mount-id is a symlink";
    of = "worker";
  }
  auto problems = fixture.read().problems;
  REQUIRE(problems.size() == 1);
  CHECK(line_of(problems[0]) == what + " | " + of + " | fatal");
  CHECK(problems[0].fix == Symlink{path}.fix());
}

TEST_CASE("a folder without a configuration or a writable layer is what is left of a container") {
  StoreFixture fixture;
  fixture.tree.write(fixture.container(Digest(64, 'e'), "hostname"), "x");
  fixture.tree.write("/containers/notes/config.v2.json", "{");
  CHECK(problem_of(fixture) ==
        "container eeeeeeeeeeee cannot be used: its config.v2.json is missing | | ignored");
}

TEST_CASE("what a container's configuration says") {
  StoreFixture fixture;
  auto config = fixture.container(fixture.worker, "config.v2.json");
  for (std::string state : {"Running", "Paused", "Restarting"}) {
    fixture.replace(config, "\"" + state + "\":false", "\"" + state + "\":true");
    CHECK(fixture.read().containers.at(fixture.worker).running);
    fixture.replace(config, "\"" + state + "\":true", "\"" + state + "\":false");
  }
  fixture.tree.write(fixture.container(fixture.worker, "hostconfig.json"),
                     R"({"StorageOpt":{"size":"20M"}})");
  CHECK(fixture.read().containers.at(fixture.worker).size_limit == "20M");
  fixture.remove(fixture.container(fixture.worker, "hostconfig.json"));
  CHECK_FALSE(fixture.read().containers.at(fixture.worker).size_limit);
}

TEST_CASE("containers of another driver are kept apart") {
  StoreFixture fixture;
  auto config = fixture.container(fixture.worker, "config.v2.json");
  fixture.remove(fixture.mount(fixture.worker, ""));
  fixture.replace(config, "\"Driver\":\"overlay2\"", "\"Driver\":\"devicemapper\"");
  Inventory inventory = fixture.read();
  CHECK(inventory.problems.empty());
  CHECK(inventory.containers.size() == 1);
  REQUIRE(inventory.foreign_containers.size() == 1);
  CHECK(inventory.foreign_containers[0].name == "worker");
  CHECK(inventory.foreign_containers[0].driver == "devicemapper");
  fixture.replace(config, "\"Driver\":\"devicemapper\"", "\"Driver\":\"\"");
  CHECK(fixture.read().foreign_containers.at(0).driver == "aufs");
}

TEST_CASE("a container whose image was removed is no problem") {
  StoreFixture fixture;
  fixture.remove(fixture.image(fixture.other_image));
  CHECK(problem_of(fixture) ==
        "`other:1` names image " + short_id(fixture.other_image) + ", which is not there | | ignored");
  CHECK(fixture.read().containers.size() == 2);
}
