#include <doctest/doctest.h>

#include <algorithm>

#include "drivers/devicemapper_options.hpp"
#include "drivers/devicemapper_records.hpp"
#include "drivers/homes.hpp"
#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {
const std::string kLayer(64, 'a'), kInit = std::string(64, 'b') + "-init", kGone(64, 'c');
}

TEST_CASE("the records of thin devices are the engine's, byte for byte") {
  HostTree tree;
  Dir metadata = Dir::open(tree.root());
  write_device_record(metadata, kLayer, {13, 1073741824, 20, false, false});
  CHECK(tree.read("/" + kLayer) ==
        R"({"device_id":13,"size":1073741824,"transaction_id":20,"initialized":false,"deleted":false})");
  write_device_set(metadata, {23, "0f5e", "ext4"});
  CHECK(tree.read("/deviceset-metadata") ==
        R"({"next_device_id":23,"BaseDeviceUUID":"0f5e","BaseDeviceFilesystem":"ext4"})");
  write_transaction(metadata, {34, kLayer, 23});
  CHECK(tree.read("/transaction-metadata") ==
        R"({"open_transaction_id":34,"device_hash":")" + kLayer + R"(","device_id":23})");

  auto record = read_device_record(metadata, kLayer);
  REQUIRE(record);
  CHECK(record->device_id == 13);
  CHECK(record->size_bytes == 1073741824);
  CHECK(record->transaction_id == 20);
  CHECK(read_device_set(metadata).last_device_id == 23);
  CHECK(read_transaction(metadata)->open_id == 34);
  CHECK_FALSE(read_device_record(metadata, kGone));
}

TEST_CASE("layers are what has a record and is not to be deleted") {
  HostTree tree;
  std::string sound = R"({"device_id":1,"size":512,"transaction_id":1,"initialized":false,"deleted":)";
  tree.write("/" + kLayer, sound + "false}");
  tree.write("/" + kInit, sound + "false}");
  tree.write("/" + kGone, sound + "true}");
  for (const char* name : {"/base", "/deviceset-metadata", "/transaction-metadata", "/.tmp123"})
    tree.write(name, sound + "false}");
  auto layers = recorded_layers(Dir::open(tree.root()));
  std::sort(layers.begin(), layers.end());
  CHECK(layers == std::vector<LayerId>{kLayer, kInit});
}

TEST_CASE("what a removal takes from a pool outside is told") {
  HostTree tree;
  std::string record = R"({"device_id":1,"size":512,"transaction_id":1,"initialized":false,"deleted":false})";
  for (const LayerId& id : {kLayer, kInit}) tree.write("/devicemapper/metadata/" + id, record);
  auto outside = [&](const std::vector<std::string>& options) {
    return open_devicemapper(tree.path("/devicemapper"), {{}, options})->outside();
  };
  CHECK(outside({}) == "");
  CHECK(outside({"dm.thinpooldev=/dev/mapper/vg-pool"}) ==
        "2 layers' devices and their base device in the thin pool `vg-pool`");
}

TEST_CASE("records that lie") {
  HostTree tree;
  Dir metadata = Dir::open(tree.root());
  for (const char* text : {"", "[]", "null", "{", R"({"size":512})", R"({"device_id":-1,"size":512})",
                           R"({"device_id":"1","size":512})", R"({"device_id":16777216,"size":512})",
                           R"({"device_id":1,"size":0})", R"({"device_id":1,"size":513})",
                           R"({"device_id":1,"size":18446744073709551104})",
                           R"({"device_id":1,"size":512,"transaction_id":-3})"}) {
    tree.write("/" + kLayer, text);
    CHECK_THROWS_WITH_AS(read_device_record(metadata, kLayer), doctest::Contains("is damaged"), Error);
  }
  tree.write("/" + kLayer, R"({"device_id":1,"size":512})");
  CHECK(read_device_record(metadata, kLayer)->transaction_id == 0);
  tree.write("/transaction-metadata", R"({"open_transaction_id":1,"device_hash":"../../etc","device_id":1})");
  CHECK_THROWS_WITH_AS(read_transaction(metadata), doctest::Contains("names no layer"), Error);
}

TEST_CASE("devicemapper's options") {
  DevicemapperOptions options = parse_devicemapper_options(
      {"dm.basesize=20G", "DM.LoopDataSize=200G", "dm.fs=ext4", "dm.mkfsarg=-i", "dm.mkfsarg=8192",
       "dm.blocksize=512K", "dm.mountopt=nodiscard", "zfs.fsname=x", "dm.min_free_space=5%"});
  CHECK(options.base_bytes == 20ULL << 30);
  CHECK(options.loop_data_bytes == 200ULL << 30);
  CHECK(options.loop_metadata_bytes == 2ULL << 30);
  CHECK(options.filesystem == "ext4");
  CHECK(options.mkfs_arguments == std::vector<std::string>{"-i", "8192"});
  CHECK(options.block_bytes == 512 << 10);
  CHECK(options.min_free_percent == 5);
  CHECK(options.on_loop_files());
  CHECK(parse_devicemapper_options({"dm.thinpooldev=/dev/mapper/docker-thinpool"}).pool == "docker-thinpool");
  CHECK(parse_devicemapper_options({"dm.directlvm_device=/dev/sdb"}).pool == "docker-thinpool");
  CHECK_FALSE(parse_devicemapper_options({"dm.thinpooldev=pool"}).on_loop_files());
  CHECK_FALSE(parse_devicemapper_options({"dm.datadev=/dev/a", "dm.metadatadev=/dev/b"}).on_loop_files());
  for (const char* option :
       {"dm.basesize=", "dm.basesize=0", "dm.basesize=much", "dm.fs=btrfs", "dm.blocksize=100",
        "dm.blocksize=2G", "dm.min_free_space=100%", "dm.min_free_space=x"})
    CHECK_THROWS_AS(parse_devicemapper_options({option}), Error);
}
