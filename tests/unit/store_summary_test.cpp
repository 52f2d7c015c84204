#include "migrate/store_summary.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;
using K = DriverKind;

namespace {

EngineVersion engine(int major) { return {major, 0, std::to_string(major) + ".0"}; }

CurrentDriver uses(K kind, const std::string& source = "prior state on disk") {
  CurrentDriver current;
  current.kind = kind;
  current.name = driver_name(kind);
  current.source = source;
  return current;
}

const StoreSummary* find(const std::vector<StoreSummary>& stores, const std::string& driver) {
  for (const auto& store : stores)
    if (store.driver == driver) return &store;
  return nullptr;
}

}  // namespace

TEST_CASE("why an engine hides a store") {
  CHECK(hidden_reason("overlay2", uses(K::overlay2), engine(28)) == "");
  CHECK(hidden_reason("aufs", uses(K::overlay2), engine(28)) ==
        "the installed engine 28.0 has no aufs; 23 was the last that had it");
  CHECK(hidden_reason("aufs", uses(K::overlay2, "/etc/docker/daemon.json"), engine(20)) ==
        "the engine uses overlay2 (/etc/docker/daemon.json)");
  CHECK(hidden_reason("devicemapper", uses(K::overlay2), std::nullopt) ==
        "a current engine has no devicemapper; 24 was the last that had it");
  CHECK(hidden_reason("vfs", uses(K::overlay2), engine(28)).find("never finds vfs") != std::string::npos);
  CHECK(hidden_reason("overlay9", uses(K::overlay2), engine(28)).find("knows no engine") !=
        std::string::npos);
  // The current driver itself, where the engine has it no more.
  CHECK_FALSE(hidden_reason("aufs", uses(K::aufs, "/etc/docker/daemon.json"), engine(28)).empty());
  CurrentDriver containerd;
  containerd.containerd = true;
  containerd.name = "btrfs";
  containerd.source = "here";
  CHECK(hidden_reason("btrfs", containerd, engine(29)).find("containerd's store (here)") !=
        std::string::npos);
}

TEST_CASE("every store is counted, whether the engine shows it or not") {
  StoreFixture fixture;
  fixture.tree.write("/overlay2/" + std::string(64, 'e') + "/link", "x");
  fixture.tree.write("/overlay2/" + std::string(25, 'k') + "/link", "x");
  fixture.tree.write("/overlay2/l/ignored", "");
  fixture.tree.write("/aufs/layers/" + std::string(64, 'a'), "");
  std::string id(64, 'c');
  fixture.tree.write("/containers/" + id + "/config.v2.json",
                     R"({"ID":")" + id + R"(","Name":"/old","Driver":"overlay9"})");
  CurrentDriver current = uses(K::overlay2);
  current.homes = {K::overlay2, K::aufs};
  DataRoot root{fixture.tree.root(), "test", true, {}};
  auto stores = summarize_stores(root, {}, current, engine(28), false, true);
  REQUIRE(stores.size() == 3);
  CHECK(stores[0].driver == "overlay2");
  CHECK(stores[0].active);
  CHECK(stores[0].images == 4);
  CHECK(stores[0].containers == 2);
  CHECK(stores[0].orphans == 1);
  CHECK(stores[0].build_cache == 1);
  CHECK(stores[0].hidden_reason.empty());
  CHECK(stores[0].bytes.value_or(0) > 0);
  const StoreSummary* aufs = find(stores, "aufs");
  REQUIRE(aufs);
  CHECK_FALSE(aufs->active);
  CHECK(aufs->orphans == 1);
  CHECK(aufs->images == 0);
  const StoreSummary* unknown = find(stores, "overlay9");
  REQUIRE(unknown);
  CHECK(unknown->containers == 1);
  CHECK_FALSE(unknown->images);
  CHECK_FALSE(unknown->hidden_reason.empty());
  CHECK_FALSE(summarize_stores(root, {}, current, engine(28), false, false)[0].bytes);
}

TEST_CASE("disk usage counts an inode once") {
  HostTree tree;
  tree.write("/a/file", std::string(100'000, 'x'));
  std::uint64_t once = disk_usage(Dir::open(tree.root()));
  CHECK(once >= 100'000);
  CHECK(::link(tree.path("/a/file").c_str(), tree.path("/a/again").c_str()) == 0);
  CHECK(disk_usage(Dir::open(tree.root())) == once);
  tree.link("/loop", "..");
  CHECK(disk_usage(Dir::open(tree.root())) < once + 8192);
}

TEST_CASE("a data root that is not there has no stores") {
  CHECK(summarize_stores({"/nonexistent/docker", "test", false, {}}, {}, uses(K::overlay2), engine(28), false,
                         true)
            .empty());
}
