// What overlay2's home says of a layer's stack: all of it is foreign bytes. Reading needs no root.
#include <doctest/doctest.h>

#include <filesystem>

#include "drivers/driver.hpp"
#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;
namespace fs = std::filesystem;

namespace {

const LayerId kHomeBase(64, 'a'), kHomeMiddle(25, 'k'), kHomeTop = std::string(64, 'c') + "-init";

std::string link_of(char letter) { return std::string(26, letter); }

struct Home {
  HostTree tree;
  std::unique_ptr<Driver> driver = driver_entry(DriverKind::overlay2).open(tree.path("/overlay2"), {});

  Home() {
    add(kHomeBase, 'A', "");
    add(kHomeMiddle, 'B', "l/" + link_of('A'));
    add(kHomeTop, 'C', "l/" + link_of('B') + ":l/" + link_of('A'));
  }
  void add(const LayerId& id, char letter, const std::string& lower) const {
    fs::create_directories(tree.path("/overlay2/" + id + "/diff"));
    tree.write("/overlay2/" + id + "/link", link_of(letter));
    tree.link("/overlay2/l/" + link_of(letter), "../" + id + "/diff");
    if (!lower.empty()) tree.write("/overlay2/" + id + "/lower", lower);
  }
  void lower(const std::string& text) const { tree.write("/overlay2/" + kHomeTop + "/lower", text); }
  void link(char letter, const std::string& target) const {
    fs::remove(tree.path("/overlay2/l/" + link_of(letter)));
    tree.link("/overlay2/l/" + link_of(letter), target);
  }
};

}  // namespace

TEST_CASE("a sound home is read") {
  Home home;
  CHECK(home.driver->stack(kHomeTop) == std::vector<LayerId>{kHomeTop, kHomeMiddle, kHomeBase});
  CHECK(home.driver->stack(kHomeBase) == std::vector<LayerId>{kHomeBase});
  CHECK(home.driver->layers().size() == 3);
  CHECK(home.driver->contains(kHomeTop));
  fs::remove(home.tree.path("/overlay2/" + kHomeTop + "/diff"));
  CHECK_FALSE(home.driver->contains(kHomeTop));
}

TEST_CASE("a damaged lower is an error") {
  Home home;
  std::string a = "l/" + link_of('A');
  for (const std::string& text :
       {std::string("l/"), std::string("l/.."), "l/" + link_of('a'), a + "/../x", "/" + a, a + ":", ":" + a,
        a + "::" + a, a + "\n", "l/" + link_of('Z'), a + ":" + a, std::string(20'000, 'l'),
        std::string("../" + kHomeBase + "/diff"), "l/" + link_of('C')}) {
    CAPTURE(text);
    home.lower(text);
    bool ends_with_colon = text == a + ":";
    // A trailing colon is an empty last item, which is none.
    if (ends_with_colon)
      CHECK(home.driver->stack(kHomeTop).size() == 2);
    else
      CHECK_THROWS_AS(home.driver->stack(kHomeTop), Error);
  }
}

TEST_CASE("a damaged link is an error") {
  Home home;
  for (const std::string& target :
       {std::string("/etc"), "../../" + kHomeBase + "/diff", "../" + kHomeBase, "../" + kHomeBase + "/diff/x",
        std::string("../../../etc/diff"), std::string("../l/diff"), "../" + kHomeBase + "//diff"}) {
    CAPTURE(target);
    home.link('B', target);
    CHECK_THROWS_AS(home.driver->stack(kHomeTop), Error);
  }
  home.link('B', "../" + kHomeTop + "/diff");
  CHECK_THROWS_AS(home.driver->stack(kHomeTop), Error);
  fs::remove(home.tree.path("/overlay2/l/" + link_of('B')));
  home.tree.write("/overlay2/l/" + link_of('B'), "a file");
  CHECK_THROWS_AS(home.driver->stack(kHomeTop), Error);
}

TEST_CASE("a layer or a part of it behind a symlink is not followed") {
  Home home;
  fs::rename(home.tree.path("/overlay2/" + kHomeTop), home.tree.path("/elsewhere"));
  home.tree.link("/overlay2/" + kHomeTop, "../elsewhere");
  CHECK_FALSE(home.driver->contains(kHomeTop));
  CHECK(home.driver->symlink_to(kHomeTop)->path == home.tree.path("/overlay2/" + kHomeTop));
  CHECK_FALSE(home.driver->symlink_to(kHomeMiddle));
  CHECK_THROWS_AS(home.driver->open(kHomeTop), Error);
  CHECK_THROWS_AS(home.driver->stack(kHomeTop), Error);
  fs::rename(home.tree.path("/overlay2/" + kHomeMiddle + "/diff"), home.tree.path("/other"));
  home.tree.link("/overlay2/" + kHomeMiddle + "/diff", "../../other");
  CHECK_FALSE(home.driver->contains(kHomeMiddle));
  CHECK(home.driver->symlink_to(kHomeMiddle)->path == home.tree.path("/overlay2/" + kHomeMiddle + "/diff"));
  CHECK_THROWS_AS(home.driver->open(kHomeMiddle), Error);
}

TEST_CASE("what is in a home besides layers is not listed") {
  Home home;
  home.tree.write("/overlay2/.lost", "");
  home.tree.write("/overlay2/backingFsBlockDev", "");
  fs::create_directory(home.tree.path("/overlay2/" + std::string(64, 'A')));
  CHECK(home.driver->layers().size() == 3);
}
