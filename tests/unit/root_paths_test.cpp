// The paths into a data root that the engine and its users have written down.
#include "migrate/root_paths.hpp"

#include <doctest/doctest.h>

#include "detect/config_root.hpp"
#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

std::string moved(const std::string& text) { return moved_container_config(text, "/old", "/mnt/new"); }

std::string id(char digit) { return std::string(64, digit); }

}  // namespace

TEST_CASE("the engine's own paths follow the root, all else stays to the byte") {
  CHECK(moved(R"({"LogPath":"/old/containers/c/c-json.log","Name":"/old/x"})") ==
        R"({"LogPath":"/mnt/new/containers/c/c-json.log","Name":"/old/x"})");
  for (const char* key : {"HostnamePath", "HostsPath", "ResolvConfPath", "ShmPath"}) {
    std::string text = "{ \"" + std::string(key) + "\" : \"/old/f\" }";
    CHECK(moved(text) == "{ \"" + std::string(key) + "\" : \"/mnt/new/f\" }");
  }
  for (const char* same :
       {R"({"LogPath":""})", R"({"LogPath":null})", R"({"LogPath":"/older/f"})", R"({"LogPath":"/old"})",
        R"({"LogPath":"/elsewhere/old/f"})", R"({"Size":12345678901234567890,"x":"\u003c"})"})
    CHECK(moved(same) == same);
  // As Go writes it.
  CHECK(moved(R"({"LogPath":"\/old\/f"})") == R"({"LogPath":"/mnt/new/f"})");
  CHECK_THROWS_AS(moved("[]"), Error);
}

TEST_CASE("volumes follow the root, what the user has bound does not") {
  CHECK(moved(R"({"MountPoints":{)"
              R"("/data":{"Source":"/old/volumes/v/_data","Name":"v","Driver":"local","Type":"volume"},)"
              R"("/bind":{"Source":"/old/volumes/v/_data","Name":"","Driver":"","Type":"bind"},)"
              R"("/host":{"Source":"/srv","Name":"","Driver":""}}})") ==
        R"({"MountPoints":{)"
        R"("/data":{"Source":"/mnt/new/volumes/v/_data","Name":"v","Driver":"local","Type":"volume"},)"
        R"("/bind":{"Source":"/old/volumes/v/_data","Name":"","Driver":"","Type":"bind"},)"
        R"("/host":{"Source":"/srv","Name":"","Driver":""}}})");
  for (const char* same :
       {R"({"MountPoints":null})", R"({"MountPoints":{}})", R"({"MountPoints":{"/x":null}})",
        R"({"MountPoints":{"/x":{"Source":"","Name":"v","Driver":"local"}}})"})
    CHECK(moved(same) == same);
}

TEST_CASE("a plugin's rootfs follows the root, its settings do not") {
  CHECK(moved_plugin_config(R"({"plugin":{"Source":"/old/plugins/"},"Rootfs":"/old/plugins/p/rootfs"})",
                            "/old", "/new") ==
        R"({"plugin":{"Source":"/old/plugins/"},"Rootfs":"/new/plugins/p/rootfs"})");
  CHECK(moved_plugin_config(R"({"Rootfs":""})", "/old", "/new") == R"({"Rootfs":""})");
}

TEST_CASE("users' paths into a root are found") {
  HostTree tree;
  tree.write(
      "/containers/" + id('a') + "/config.v2.json",
      R"({"Name":"/web","MountPoints":{"/d":{"Source":"/old/volumes/v/_data","Name":"v","Driver":"local"},)"
      R"("/b":{"Source":"/old/volumes/v/_data","Name":"","Driver":""},"/h":{"Source":"/older","Name":""}}})");
  tree.write("/containers/" + id('b') + "/config.v2.json", "no JSON");
  tree.write("/containers/stray", "");
  tree.write("/volumes/v/opts.json", R"({"MountType":"none","MountOpts":"bind","MountDevice":"/old"})");
  tree.write("/volumes/w/opts.json", R"({"MountDevice":"/dev/sdb"})");
  tree.write(
      "/plugins/" + id('c') + "/config.json",
      R"({"plugin":{"Name":"p:1","Settings":{"Mounts":[{"Source":"/old/plugins/"},{"Source":null}]}}})");
  auto found = user_paths_into(Dir::open(tree.root()), "/old");
  REQUIRE(found.size() == 3);
  CHECK(found[0].of == "container web");
  CHECK(found[0].path == "/old/volumes/v/_data");
  CHECK(found[1].of == "volume v");
  CHECK(found[1].path == "/old");
  CHECK(found[2].of == "plugin p:1");
  CHECK(user_paths_into(Dir::open(tree.root()), "/other").empty());
}

TEST_CASE("users' paths into a root are found by whatever name they go") {
  HostTree tree;
  tree.write("/old/volumes/v/_data/file", "");
  tree.write("/older/x", "");
  tree.link("/alias", tree.path("/old"));
  tree.link("/deep", tree.path("/old/volumes/v"));
  tree.link("/aside", tree.path("/older"));
  auto found_in = [&](const std::string& options) {
    tree.write("/d/volumes/w/opts.json", options);
    std::vector<std::string> paths;
    for (const UserPath& path : user_paths_into(Dir::open(tree.path("/d")), tree.path("/old")))
      paths.push_back(path.path.substr(tree.root().size()));
    return paths;
  };
  using Paths = std::vector<std::string>;
  auto device = [&](const std::string& below) { return R"({"MountDevice":")" + tree.path(below) + "\"}"; };
  CHECK(found_in(device("/alias")) == Paths{"/alias"});
  CHECK(found_in(device("/alias/volumes/none/yet")) == Paths{"/alias/volumes/none/yet"});
  CHECK(found_in(device("/deep/_data")) == Paths{"/deep/_data"});
  CHECK(found_in(device("/older/x")).empty());
  CHECK(found_in(device("/aside/x")).empty());
  CHECK(found_in(device("/old" + std::string(5000, 'x'))).empty());
  CHECK(found_in(R"({"MountType":"overlay","MountOpts":"lowerdir=)" + tree.path("/older") + ":" +
                 tree.path("/old/l") + ",upperdir=" + tree.path("/alias/u") + R"(,workdir=/w"})") ==
        Paths{"/alias/u", "/old/l"});
}

TEST_CASE("the configuration names the new root, and no other key of it") {
  CHECK(config_with_root("", "/new") == "{\n  \"data-root\": \"/new\"\n}\n");
  CHECK(config_with_root("{\n \"data-root\": \"/old\",\n \"debug\": true\n}", "/new") ==
        "{\n \"data-root\": \"/new\",\n \"debug\": true\n}");
  CHECK(config_with_root("{\"graph\":\"/old\",\"debug\":true}", "/new") ==
        "{\"debug\":true,\"data-root\":\"/new\"}");
  CHECK(root_of_config("{\"graph\":\"/a\"}") == "/a");
  CHECK(root_of_config("{\"data-root\":\"/b\"}") == "/b");
  CHECK_FALSE(root_of_config(" \n"));
  CHECK_FALSE(root_of_config("{\"data-root\":\"\"}"));
}

TEST_CASE("a data root on the engine's command line is refused, but for one until the next start") {
  EngineConfig config;
  config.flags = {{"storage-driver", "vfs", "somewhere", false},
                  {"data-root", "/x", "running dockerd (pid 7)", true}};
  CHECK_NOTHROW(refuse_root_flags(config));
  config.flags.push_back({"data-root", "/x", "unit docker.service", false});
  CHECK_THROWS_WITH_AS(refuse_root_flags(config),
                       "cannot name the data root in ``: there is --data-root /x on the command line of unit "
                       "docker.service, and the engine does not start with both",
                       Error);
}
