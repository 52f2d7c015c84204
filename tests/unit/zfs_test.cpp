#include <doctest/doctest.h>

#include "drivers/homes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/zfs_command.hpp"
#include "drivers/zfs_parent.hpp"
#include "drivers/zfs_record.hpp"
#include "tests/support/fake_zfs.hpp"

using namespace drover;
using namespace drover::test;

namespace {

const LayerId kZfsBase(64, 'a'), kTop(64, 'b'), kInit = std::string(64, 'c') + "-init", kOther(64, 'd');
const std::string kWork = "tank/docker/drover-0123abcd";

/// A pool with a parent filesystem, what the admin has in it, and a home's folder.
struct Pool {
  FakeZfs zfs;
  std::string root = zfs.tree().path("/root"), home = root + "/zfs";

  Pool() {
    zfs.tree().write("/root/zfs/graph/.keep", "");
    zfs.add("tank", "1");
    zfs.add("tank/docker", "2");
    zfs.add("tank/docker/admin", "3");
  }
  std::unique_ptr<Driver> open() const { return open_zfs(home, {{}, {"zfs.fsname=tank/docker"}}); }
  void record(const std::string& work, std::map<LayerId, std::string> layers) const {
    ZfsRecord{"tank/docker", work, std::move(layers)}.write(Dir::open(home));
  }
  /// Three layers in the making, each on the one before.
  void stage() const {
    record("drover-0123abcd", {});
    zfs.add(kWork, "10");
    zfs.add(kWork + "/" + kZfsBase, "11");
    zfs.add(kWork + "/" + kTop, "12", kWork + "/" + kZfsBase);
    zfs.add(kWork + "/" + kInit, "13", kWork + "/" + kTop);
  }
  bool has(const std::string& name) const { return zfs.filesystems().contains(name); }
};

}  // namespace

TEST_CASE("zfs: names of filesystems") {
  for (const char* good : {"tank", "tank/docker", "tank/a b/c.d-e_f:g", "T/0"}) CHECK(is_dataset_name(good));
  for (const char* bad :
       {"", "/", "tank/", "/tank", "tank//x", "-r", "tank/../x", "tank/.", "tank@snap", "tank/x@1",
        "tank/x#mark", "tank/%recv", "tank/x\ty", "tank/x\n", "1tank", "tank/\xc3\xa4"})
    CHECK_FALSE(is_dataset_name(bad));
  CHECK_FALSE(is_dataset_name("t/" + std::string(254, 'x')));
  CHECK_THROWS_AS(zfs_destroy("-r"), Error);
  CHECK_THROWS_AS(zfs_rename("tank/x", "tank/x@y"), Error);
}

TEST_CASE("zfs: what the program lists") {
  auto found = parse_zfs_list("tank/a b\t17\t-\thidden\ntank/c\t18446744073709551615\ttank/a b@5\tvisible\n");
  REQUIRE(found.size() == 2);
  CHECK(found[0].base() == "a b");
  CHECK(found[0].origin == "");
  CHECK_FALSE(found[0].shows_snapshots);
  CHECK(found[1].origin == "tank/a b@5");
  CHECK(found[1].shows_snapshots);
  CHECK(parse_zfs_list("").empty());
  for (const char* bad :
       {"tank\t1\t-\n", "tank\t1\t-\thidden\tx\n", "tank@x\t1\t-\thidden\n", "tank\tx\t-\thidden\n"})
    CHECK_THROWS_AS(parse_zfs_list(bad), Error);
}

TEST_CASE("zfs: the option that names the parent") {
  CHECK_FALSE(zfs_fsname({"overlay2.size=1G", "zfs.fsname="}));
  CHECK(zfs_fsname({"zfs.fsname=a/b", "ZFS.FsName=c/d"}) == "c/d");
  CHECK(find_zfs_parent("/", {"zfs.fsname=tank/x"}) == "tank/x");
  CHECK_THROWS_AS(find_zfs_parent("/", {"zfs.fsname=tank/x@y"}), Error);
  CHECK_FALSE(find_zfs_parent("/proc", {}));
}

TEST_CASE("zfs: an engine's home shows the layers below the parent, and nothing else") {
  Pool pool;
  pool.zfs.add("tank/docker/" + kZfsBase, "20");
  pool.zfs.add("tank/docker/admin/" + kTop, "21");
  auto driver = pool.open();
  CHECK(driver->layers() == std::vector<LayerId>{kZfsBase});
  CHECK(driver->contains(kZfsBase));
  CHECK_FALSE(driver->contains("admin"));
  CHECK_THROWS_AS(driver->open("../x"), Error);
}

TEST_CASE("zfs: settling gives layers the engine's names, also after it was cut") {
  Pool pool;
  pool.stage();
  pool.zfs.fail("rename", 2);
  CHECK_THROWS_AS(pool.open()->settle(), Error);
  CHECK(pool.open()->layers().size() == 3);
  pool.open()->settle();
  CHECK_FALSE(pool.has(kWork));
  for (const LayerId& id : {kZfsBase, kTop, kInit}) CHECK(pool.has("tank/docker/" + id));
  pool.open()->settle();
  CHECK(pool.open()->layers().size() == 3);
  pool.open()->release();
  CHECK(pool.zfs.tree().names("/root/zfs") == std::vector<std::string>{"graph"});
}

TEST_CASE("zfs: what was made is removed, settled or not, and nothing else") {
  for (int settled : {0, 2, 9}) {
    Pool pool;
    auto before = pool.zfs.filesystems();
    pool.stage();
    pool.zfs.fail("rename", settled);
    try {
      if (settled) pool.open()->settle();
    } catch (const Error&) {
    }
    pool.zfs.add("tank/docker/" + kOther, "99");
    before["tank/docker/" + kOther] = "99";
    pool.open()->remove_home();
    CHECK(pool.zfs.filesystems() == before);
    CHECK(pool.zfs.tree().names("/root").empty());
    pool.open()->remove_home();
  }
}

TEST_CASE("zfs: a home that is put aside has the layers it is told of and what stands on them") {
  Pool pool;
  pool.zfs.add("tank/docker/" + kZfsBase, "20");
  pool.zfs.add("tank/docker/" + kTop, "21", "tank/docker/" + kZfsBase);
  pool.zfs.add("tank/docker/" + kOther, "22");
  pool.open()->claim({kZfsBase, kInit});
  CHECK(pool.open()->layers() == std::vector<LayerId>{kZfsBase, kTop});
  SUBCASE("and they go with it") {
    pool.open()->remove_home();
    CHECK_FALSE(pool.has("tank/docker/" + kZfsBase));
    CHECK_FALSE(pool.has("tank/docker/" + kTop));
    CHECK(pool.has("tank/docker/" + kOther));
    CHECK(pool.has("tank/docker/admin"));
  }
  SUBCASE("but not what has got such a name since") {
    zfs_destroy("tank/docker/" + kTop);
    pool.zfs.add("tank/docker/" + kTop, "77");
    CHECK(pool.open()->layers() == std::vector<LayerId>{kZfsBase});
    pool.open()->remove_home();
    CHECK(pool.has("tank/docker/" + kTop));
  }
  SUBCASE("nor what the admin has cloned") {
    pool.zfs.add("tank/mine", "78", "tank/docker/" + kTop);
    try {
      pool.open()->remove_home();
      FAIL("removed");
    } catch (const Error& e) {
      CHECK(e.hint().find("zfs promote") != std::string::npos);
    }
    CHECK(pool.has("tank/docker/" + kZfsBase));
    CHECK(pool.zfs.tree().names("/root") == std::vector<std::string>{"zfs"});
  }
  SUBCASE("until it is in use again") {
    pool.open()->release();
    CHECK(pool.open()->layers().size() == 3);
    pool.open()->remove_home();
    CHECK(pool.has("tank/docker/" + kZfsBase));
  }
}

TEST_CASE("zfs: a layer goes with what stands on it") {
  Pool pool;
  pool.stage();
  auto driver = pool.open();
  driver->remove(kTop);
  CHECK(driver->layers() == std::vector<LayerId>{kZfsBase});
  CHECK_FALSE(pool.has(kWork + "/" + kInit));
  driver->remove(kTop);
  CHECK_THROWS_AS(driver->remove("admin"), Error);
}

TEST_CASE("zfs: what somebody has made below a layer keeps it") {
  Pool pool;
  pool.stage();
  pool.zfs.add(kWork + "/" + kTop + "/admins", "77");
  CHECK_THROWS_AS(pool.open()->remove(kTop), Error);
  CHECK(pool.has(kWork + "/" + kTop + "/admins"));
}

TEST_CASE("zfs: what would keep a home from being removed is told beforehand") {
  Pool pool;
  std::string base = "tank/docker/" + kZfsBase, top = "tank/docker/" + kTop;
  pool.zfs.add(base, "21");
  pool.zfs.add(top, "22", base);
  CHECK_FALSE(pool.open()->removal_blocker());
  pool.record("", {{kZfsBase, "21"}, {kTop, "22"}});
  CHECK_FALSE(pool.open()->removal_blocker());
  CHECK(pool.open()->outside() == "2 filesystems below `tank/docker`");
  SUBCASE("a clone elsewhere") {
    pool.zfs.add("tank/mine", "30", top);
    auto blocker = pool.open()->removal_blocker();
    REQUIRE(blocker);
    CHECK(std::string(blocker->what())
              .starts_with("the zfs filesystem `tank/mine` is a clone of the layer `" + top + "`"));
    CHECK(blocker->hint().find("zfs promote 'tank/mine'") != std::string::npos);
  }
  SUBCASE("a filesystem below") {
    pool.zfs.add(base + "/mine", "30");
    auto blocker = pool.open()->removal_blocker();
    REQUIRE(blocker);
    CHECK(std::string(blocker->what()).starts_with("`" + base + "/mine` lies below the layer `"));
  }
}

TEST_CASE("zfs: a damaged record stops everything") {
  Pool pool;
  pool.zfs.add("tank/docker/" + kZfsBase, "20");
  for (const char* bad : {"", "[]", R"({"parent":"tank/docker"})", R"({"parent":"-r","work":"","layers":{}})",
                          R"({"parent":"tank","work":"docker","layers":{}})",
                          R"({"parent":"tank","work":"","layers":{"docker":"2"}})"}) {
    pool.zfs.tree().write("/root/zfs/datasets.json", bad);
    CHECK_THROWS_AS(pool.open()->layers(), Error);
    CHECK_THROWS_AS(pool.open()->remove_home(), Error);
  }
  CHECK(pool.has("tank/docker/" + kZfsBase));
}
