// What overlay2's home says of a layer's stack: all of it is foreign bytes. Reading needs no root.
#include <doctest/doctest.h>

#include <filesystem>

#include "drivers/driver.hpp"
#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;
namespace fs = std::filesystem;

namespace {

const LayerId kBase(64, 'a'), kMiddle(25, 'k'), kTop = std::string(64, 'c') + "-init";

std::string link_of(char letter) { return std::string(26, letter); }

struct Home {
  HostTree tree;
  std::unique_ptr<Driver> driver = driver_entry(DriverKind::overlay2).open(tree.path("/overlay2"), {});

  Home() {
    add(kBase, 'A', "");
    add(kMiddle, 'B', "l/" + link_of('A'));
    add(kTop, 'C', "l/" + link_of('B') + ":l/" + link_of('A'));
  }
  void add(const LayerId& id, char letter, const std::string& lower) const {
    fs::create_directories(tree.path("/overlay2/" + id + "/diff"));
    tree.write("/overlay2/" + id + "/link", link_of(letter));
    tree.link("/overlay2/l/" + link_of(letter), "../" + id + "/diff");
    if (!lower.empty()) tree.write("/overlay2/" + id + "/lower", lower);
  }
  void lower(const std::string& text) const { tree.write("/overlay2/" + kTop + "/lower", text); }
  void link(char letter, const std::string& target) const {
    fs::remove(tree.path("/overlay2/l/" + link_of(letter)));
    tree.link("/overlay2/l/" + link_of(letter), target);
  }
};

}  // namespace

TEST_CASE("a sound home is read") {
  Home home;
  CHECK(home.driver->stack(kTop) == std::vector<LayerId>{kTop, kMiddle, kBase});
  CHECK(home.driver->stack(kBase) == std::vector<LayerId>{kBase});
  CHECK(home.driver->layers().size() == 3);
  CHECK(home.driver->contains(kTop));
  fs::remove(home.tree.path("/overlay2/" + kTop + "/diff"));
  CHECK_FALSE(home.driver->contains(kTop));
}

TEST_CASE("a damaged lower is an error") {
  Home home;
  std::string a = "l/" + link_of('A');
  for (const std::string& text :
       {std::string("l/"), std::string("l/.."), "l/" + link_of('a'), a + "/../x", "/" + a, a + ":", ":" + a,
        a + "::" + a, a + "\n", "l/" + link_of('Z'), a + ":" + a, std::string(20'000, 'l'),
        std::string("../" + kBase + "/diff"), "l/" + link_of('C')}) {
    CAPTURE(text);
    home.lower(text);
    bool ends_with_colon = text == a + ":";
    // A trailing colon is an empty last item, which is none.
    if (ends_with_colon)
      CHECK(home.driver->stack(kTop).size() == 2);
    else
      CHECK_THROWS_AS(home.driver->stack(kTop), Error);
  }
}

TEST_CASE("a damaged link is an error") {
  Home home;
  for (const std::string& target :
       {std::string("/etc"), "../../" + kBase + "/diff", "../" + kBase, "../" + kBase + "/diff/x",
        std::string("../../../etc/diff"), std::string("../l/diff"), "../" + kBase + "//diff"}) {
    CAPTURE(target);
    home.link('B', target);
    CHECK_THROWS_AS(home.driver->stack(kTop), Error);
  }
  home.link('B', "../" + kTop + "/diff");
  CHECK_THROWS_AS(home.driver->stack(kTop), Error);
  fs::remove(home.tree.path("/overlay2/l/" + link_of('B')));
  home.tree.write("/overlay2/l/" + link_of('B'), "a file");
  CHECK_THROWS_AS(home.driver->stack(kTop), Error);
}

TEST_CASE("a layer or a part of it behind a symlink is not followed") {
  Home home;
  fs::rename(home.tree.path("/overlay2/" + kTop), home.tree.path("/elsewhere"));
  home.tree.link("/overlay2/" + kTop, "../elsewhere");
  CHECK_FALSE(home.driver->contains(kTop));
  CHECK(home.driver->symlink_to(kTop)->path == home.tree.path("/overlay2/" + kTop));
  CHECK_FALSE(home.driver->symlink_to(kMiddle));
  CHECK_THROWS_AS(home.driver->open(kTop), Error);
  CHECK_THROWS_AS(home.driver->stack(kTop), Error);
  fs::rename(home.tree.path("/overlay2/" + kMiddle + "/diff"), home.tree.path("/other"));
  home.tree.link("/overlay2/" + kMiddle + "/diff", "../../other");
  CHECK_FALSE(home.driver->contains(kMiddle));
  CHECK(home.driver->symlink_to(kMiddle)->path == home.tree.path("/overlay2/" + kMiddle + "/diff"));
  CHECK_THROWS_AS(home.driver->open(kMiddle), Error);
}

TEST_CASE("what is in a home besides layers is not listed") {
  Home home;
  home.tree.write("/overlay2/.lost", "");
  home.tree.write("/overlay2/backingFsBlockDev", "");
  fs::create_directory(home.tree.path("/overlay2/" + std::string(64, 'A')));
  CHECK(home.driver->layers().size() == 3);
}
