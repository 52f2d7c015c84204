// What is the old overlay's own: image layers are trees that share inodes, all others lie on one such tree.
#include <doctest/doctest.h>

#include <optional>

#include "drivers/driver.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/view.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

const LayerId kBottom(64, 'a'), kUpper(64, 'b'), kInit = std::string(64, 'c') + "-init", kWritable(64, 'c');

struct OverlayHome {
  HostTree tree;
  std::unique_ptr<Driver> driver =
      driver_entry(DriverKind::overlay).open(tree.path("/overlay"), {{100, 200}, {}});
  OverlayHome() {
    driver->make_home();
    Dir base = driver->create(kBottom, std::nullopt, {.share_inodes = true}).root;
    base.write_new("file", "1", 0644);
    base.make_dir("dir", 0750);
    driver->create(kUpper, kBottom, {.share_inodes = true});
    driver->create(kInit, kUpper, {});
    driver->create(kWritable, kInit, {});
  }
  std::string damage(const std::string& lower_id) {
    tree.write("/overlay/" + kWritable + "/lower-id", lower_id);
    try {
      driver->stack(kWritable);
    } catch (const Error& e) {
      std::string why = e.what();
      return why.find("damaged") == why.npos ? why : why.substr(why.rfind("damaged"));
    }
    return "";
  }
};

}  // namespace

TEST_CASE("an overlay home is what the engine makes") {
  OverlayHome home;
  const Driver& driver = *home.driver;
  CHECK(driver.form_of(kBottom) == LayerForm::tree);
  CHECK(driver.form_of(kUpper) == LayerForm::tree);
  CHECK(driver.form_of(kInit) == LayerForm::delta);
  CHECK(driver.stack(kUpper) == std::vector<LayerId>{kUpper});
  CHECK(driver.stack(kInit) == std::vector<LayerId>{kInit, kUpper});
  CHECK(driver.stack(kWritable) == std::vector<LayerId>{kWritable, kUpper});
  Dir home_dir = Dir::open(home.tree.path("/overlay"));
  CHECK(home_dir.sub(kWritable).read("lower-id") == kUpper);
  CHECK(home_dir.sub(kWritable).stat("work").st_mode == (S_IFDIR | 0700));
  CHECK((home_dir.stat(kUpper).st_mode & 07777) == 0710);
  CHECK(home_dir.stat(kUpper).st_gid == 200);
  CHECK(home_dir.sub(kBottom).stat("root").st_uid == 100);
  CHECK_FALSE(home_dir.sub(kUpper).exists("upper"));

  Dir base = driver.open(kBottom).root, top = driver.open(kUpper).root;
  CHECK(base.stat("file").st_ino == top.stat("file").st_ino);
  CHECK(base.stat("dir").st_ino != top.stat("dir").st_ino);
  CHECK(top.stat("dir").st_mode == base.stat("dir").st_mode);
  CHECK(driver.layers().size() == 4);
}

TEST_CASE("what a layer on an upper shows") {
  OverlayHome home;
  Dir upper = home.driver->open(kWritable).root;
  upper.make_node("file", S_IFCHR, 0);
  upper.write_new("new", "2", 0644);
  ViewDir root = View(*home.driver, kWritable).root();
  CHECK_FALSE(root.find("file"));
  CHECK(root.find("new"));
  CHECK(root.find("dir")->layer == 1);
  CHECK(View(*home.driver, kInit).root().find("file"));
}

TEST_CASE("where the engine was killed between root and upper, root counts") {
  OverlayHome home;
  Dir layer = Dir::open(home.tree.path("/overlay")).sub(kInit);
  layer.make_dir("root", 0755);
  layer.sub("root").write_new("whole", "", 0644);
  layer.make_dir("tmproot12345", 0755);
  CHECK(home.driver->form_of(kInit) == LayerForm::tree);
  CHECK(home.driver->stack(kInit) == std::vector<LayerId>{kInit});
  CHECK(View(*home.driver, kInit).root().entries().size() == 1);
}

TEST_CASE("a damaged lower-id is refused") {
  OverlayHome home;
  CHECK(home.damage("../../etc") == "damaged: it names no layer");
  CHECK(home.damage(kWritable).ends_with("is no whole tree"));
  CHECK(home.damage(kInit).ends_with("is no whole tree"));
  CHECK(home.damage(kUpper) == "");
  CHECK(home.damage(std::string(1000, 'a')) != "");
}
