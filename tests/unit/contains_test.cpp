// What each driver's home says of a layer some part of whose way is a symlink. Reading needs no root.
#include <doctest/doctest.h>

#include <filesystem>

#include "drivers/driver.hpp"
#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;
namespace fs = std::filesystem;

TEST_CASE("a home holds no layer whose files are behind a symlink, and says which") {
  const LayerId id(64, 'a');
  struct Home {
    DriverKind kind;
    std::vector<std::string> folders, files, followed;
    std::string record = {};
  };
  for (const Home& home :
       std::vector<Home>{{DriverKind::overlay2, {id + "/diff", "l"}, {}, {id, id + "/diff", "l"}},
                         {DriverKind::vfs, {"dir/" + id}, {}, {"dir", "dir/" + id}},
                         {DriverKind::btrfs, {"subvolumes/" + id}, {}, {"subvolumes", "subvolumes/" + id}},
                         {DriverKind::aufs,
                          {"diff/" + id, "layers"},
                          {"layers/" + id},
                          {"diff", "layers", "diff/" + id, "layers/" + id}},
                         {DriverKind::overlay, {id + "/root", id + "/upper"}, {}, {id + "/root"}},
                         {DriverKind::devicemapper,
                          {"metadata"},
                          {"metadata/" + id},
                          {"metadata", "metadata/" + id},
                          R"({"device_id":1,"size":512})"}}) {
    HostTree tree;
    auto driver = driver_entry(home.kind).open(tree.path("/home"), {});
    for (const std::string& folder : home.folders) fs::create_directories(tree.path("/home/" + folder));
    for (const std::string& file : home.files) tree.write("/home/" + file, home.record);
    CHECK(driver->contains(id));
    CHECK_FALSE(driver->symlink_to(id));
    std::vector<std::string> followed{""};
    for (const std::string& part : home.followed) followed.push_back("/" + part);
    for (const std::string& part : followed) {
      const std::string place = tree.path("/home" + part);
      CAPTURE(place);
      fs::rename(place, tree.path("/moved"));
      fs::create_symlink(tree.path("/moved"), place);
      CHECK_FALSE(driver->contains(id));
      auto link = driver->symlink_to(id);
      REQUIRE(link);
      CHECK(link->path == place);
      if (part.empty()) {
        CHECK(driver->layers().empty());
        CHECK_THROWS_WITH_AS(driver->open(id), ("`" + place + "` is a symlink").c_str(), Error);
      }
      fs::remove(place);
      fs::rename(tree.path("/moved"), place);
    }
    CHECK(driver->contains(id));
  }
}
