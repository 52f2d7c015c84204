#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/tar_split.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

TEST_CASE("IDs and names") {
  CHECK(is_digest(std::string(64, 'a')));
  CHECK_FALSE(is_digest(std::string(63, 'a')));
  CHECK_FALSE(is_digest(std::string(64, 'A')));
  CHECK_FALSE(is_digest("../" + std::string(61, 'a')));
  CHECK(short_id("0123456789abcdef") == "0123456789ab");
  CHECK(short_id("abc") == "abc");
  Digest one(64, '1'), two(64, '2');
  CHECK(chain_id_of(std::nullopt, one) == one);
  CHECK(chain_id_of(one, two) == sha256_hex("sha256:" + one + " sha256:" + two));
  ImageRecord image;
  image.id = one;
  CHECK(display_name(image) == "111111111111");
  image.references = {"app@sha256:" + two};
  CHECK(display_name(image) == "111111111111");
  image.references = {"app\x1b:1"};
  CHECK(display_name(image) == "app\\x1b:1");
  ContainerRecord container;
  container.id = two;
  CHECK(display_name(container) == "222222222222");
}

TEST_CASE("a sound store is read in full") {
  StoreFixture fixture;
  Inventory inventory = fixture.read();
  CHECK(problem_of(fixture) == "");
  REQUIRE(inventory.layers.size() == 4);
  const LayerRecord& layer = inventory.layers.at(fixture.app);
  CHECK(layer.chain_id == fixture.app);
  CHECK(layer.diff_id == sha256_hex(fixture.root.tar_of(fixture.app)));
  CHECK(layer.parent == fixture.base);
  CHECK(layer.cache_id == fixture.root.layer(fixture.app).cache_id);
  CHECK(layer.size_bytes == 1);
  CHECK(layer.has_tar_split);
  REQUIRE(inventory.images.size() == 4);
  const ImageRecord& image = inventory.images.at(fixture.app_image);
  CHECK(image.diff_ids == std::vector{fixture.base, layer.diff_id});
  CHECK(image.top == fixture.app);
  CHECK(image.references ==
        std::vector<std::string>{"app:latest", "reg:5000/app:1", "app@sha256:" + fixture.base});
  REQUIRE(inventory.containers.size() == 2);
  const ContainerRecord& container = inventory.containers.at(fixture.worker);
  CHECK(container.name == "worker");
  CHECK(container.driver == "overlay2");
  CHECK(container.image == fixture.app_image);
  CHECK_FALSE(container.running);
  CHECK_FALSE(container.size_limit);
  REQUIRE(inventory.mounts.size() == 2);
  const MountRecord& mount = inventory.mounts.at(fixture.worker);
  CHECK(mount.mount_id == fixture.root.mount(fixture.worker).mount_id);
  CHECK(mount.init_id == mount.mount_id + "-init");
  CHECK(mount.parent == fixture.app);
}

TEST_CASE("records that are absent are an empty inventory") {
  HostTree empty;
  Inventory inventory = read_inventory(Dir::open(empty.root()), DriverKind::vfs, nullptr);
  CHECK(inventory.layers.empty());
  CHECK(inventory.problems.empty());
  CHECK(stores_on_disk(Dir::open(empty.root())).empty());
  StoreFixture fixture;
  inventory = read_inventory(Dir::open(fixture.tree.root()), DriverKind::btrfs, nullptr);
  CHECK(inventory.images.empty());
  CHECK(inventory.containers.empty());
  CHECK(inventory.foreign_containers.size() == 2);
  CHECK(inventory.problems.empty());
}

TEST_CASE("stores are found by their records, known drivers or not") {
  StoreFixture fixture;
  fixture.tree.write("/image/windowsfilter/layerdb/x", "");
  fixture.tree.write("/image/vfs/note", "");
  CHECK(stores_on_disk(Dir::open(fixture.tree.root())) ==
        std::vector<std::string>{"overlay2", "windowsfilter"});
}

TEST_CASE("records behind a symlink are refused, not taken for absent") {
  StoreFixture fixture;
  fs::rename(fixture.tree.path("/containers"), fixture.tree.path("/elsewhere"));
  fs::create_symlink("elsewhere", fixture.tree.path("/containers"));
  CHECK_THROWS_WITH_AS(fixture.read(),
                       ("cannot read `" + fixture.tree.path("/containers") + "`: it is a symlink").c_str(),
                       Error);
}

TEST_CASE("a symlink that is no record's is passed over, whatever its name") {
  StoreFixture fixture;
  for (const char* in : {"sha256", "mounts"})
    fs::create_symlink("/etc",
                       fixture.tree.path("/image/overlay2/layerdb/" + std::string(in) + "/x\033[2J\n"));
  CHECK(fixture.read().problems.empty());
}

TEST_CASE("the tar-split data of each layer rebuild its tar") {
  StoreFixture fixture;
  Dir dir = Dir::open(fixture.tree.root());
  TarSplitReader reader(*open_tar_split(dir, DriverKind::overlay2, fixture.top));
  CHECK(rebuild_tar(reader, [](const std::string&) { return std::nullopt; }).digest ==
        fixture.root.layer(fixture.top).diff_id);
  CHECK_FALSE(open_tar_split(dir, DriverKind::vfs, fixture.top));
  CHECK_FALSE(open_tar_split(dir, DriverKind::overlay2, Digest(64, '0')));
  CHECK_FALSE(open_tar_split(dir, DriverKind::overlay2, "../sha256"));
  fixture.remove(fixture.layer(fixture.top, "tar-split.json.gz"));
  CHECK_FALSE(open_tar_split(dir, DriverKind::overlay2, fixture.top));
  CHECK_FALSE(fixture.read().layers.at(fixture.top).has_tar_split);
  CHECK(problem_of(fixture) == "");
}

TEST_CASE("the sample root of the quickstart is sound") {
  HostTree tree;
  SampleRoot root(tree.root(), SampleRoot::Files::none);
  fill_sample_root(root);
  Inventory inventory = read_inventory(Dir::open(tree.root()), DriverKind::overlay2, nullptr);
  CHECK(inventory.problems.empty());
  CHECK(inventory.layers.size() == 3);
  CHECK(inventory.images.size() == 3);
  CHECK(inventory.containers.size() == 1);
}
