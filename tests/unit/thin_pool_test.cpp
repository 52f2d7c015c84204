// What can be told of thin pools without device-mapper: files, locks, room, the IDs in records.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>

#include "drivers/devicemapper_records.hpp"
#include "drivers/devicemapper_space.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/process.hpp"
#include "drivers/sys/volume_mount.hpp"
#include "drivers/thin_device_set.hpp"
#include "drivers/thin_pool.hpp"
#include "drivers/thin_reader.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

Fd open_at(const HostTree& tree, const std::string& below) {
  return Fd(::open(tree.path(below).c_str(), O_RDWR | O_CLOEXEC));
}

}  // namespace

TEST_CASE("the device IDs in a home's records are told in runs, damaged records left out") {
  HostTree tree;
  Dir metadata = Dir::open(tree.root());
  CHECK(recorded_device_ids(metadata).empty());
  write_device_record(metadata, "base", {.device_id = 1, .size_bytes = 1 << 20});
  std::uint32_t ids[] = {2, 3, 7, 9, 10};
  for (std::uint32_t id : ids)
    write_device_record(metadata, std::string(63, 'a') + "0123456789abcdef" [id],
                        { .device_id = id, .size_bytes = 1 << 20 });
  tree.write("/" + std::string(64, 'b'), "{\"device_id\": 11");
  tree.write("/transaction-metadata", "{\"device_id\": 12}");
  CHECK(recorded_device_ids(metadata) == "1-3,7,9-10");
}

TEST_CASE("a pool is taken for ours only if the records tell how it can be known") {
  HostTree tree;
  Dir metadata = Dir::open(tree.root());
  const std::string layer(64, 'a');
  auto not_ours = [&](std::uint64_t transaction_id, std::uint64_t used_data_blocks) {
    return why_not_of_records(
               metadata,
               {.transaction_id = transaction_id, .used_data_blocks = used_data_blocks, .mode = "rw"})
        .value_or("");
  };
  auto record = [&](const std::string& name, std::uint64_t transaction_id, bool initialized = false) {
    write_device_record(metadata, name,
                        {.device_id = static_cast<std::uint32_t>(transaction_id),
                         .size_bytes = 1 << 20,
                         .transaction_id = transaction_id,
                         .initialized = initialized});
  };
  CHECK(not_ours(0, 0) == "");
  CHECK(not_ours(7, 7) == "");  // nothing is recorded that could be removed from it

  write_transaction(metadata, {1, "", 1});
  CHECK(not_ours(0, 0) == "");  // killed before base was made
  CHECK(not_ours(7, 7) == "it has 7 used blocks, and no base device is recorded");

  record(kBaseDevice, 1);
  CHECK(not_ours(1, 7) == "");
  CHECK(not_ours(2, 7) == "its transaction ID is 2, and base was not finished");
  record(layer, 2);
  CHECK(not_ours(1, 7) == "its transaction ID is 1, and base was not finished");

  record(kBaseDevice, 1, true);
  std::string no_uuid = "no filesystem of its base device is recorded, by which it could be told";
  CHECK(not_ours(2, 7) == no_uuid);
  write_device_set(metadata, {2, "", "ext4"});
  CHECK(not_ours(2, 7) == no_uuid);
  write_device_set(metadata, {2, "0f5e", "ext4"});
  CHECK(not_ours(2, 7) == "");
  CHECK(not_ours(0, 7) == "its transaction ID is 0, that of " + layer + " is 2");

  // A pool that somebody else has made and used for longer; the layer's record is all that is left of ours.
  std::string no_base = "no base device is recorded, by which it could be told";
  write_transaction(metadata, {2, layer, 2});
  metadata.unlink(kBaseDevice);
  CHECK(not_ours(9, 7) == no_base);
  metadata.unlink("transaction-metadata");
  CHECK(not_ours(9, 7) == no_base);
  CHECK(not_ours(2, 0) == no_base);
}

TEST_CASE("what is on a device is told before it becomes a part of a pool") {
  HostTree tree{{"/zeros", std::string(1 << 20, '\0')},
                {"/luks", "LUKS\xba\xbe" + std::string("\0\1", 2) + std::string(1 << 20, '\0')}};
  CHECK(signature_on(open_at(tree, "/zeros").get(), "zeros").empty());
  CHECK(signature_on(open_at(tree, "/luks").get(), "luks") == "crypto_LUKS");
}

TEST_CASE("a pool's file can be read by many, and is written by one alone") {
  HostTree tree{{"/metadata", ""}};
  Fd reader = open_at(tree, "/metadata"), other = open_at(tree, "/metadata");
  lock_pool_file(reader, "metadata", LOCK_SH);
  lock_pool_file(other, "metadata", LOCK_SH);
  CHECK(::flock(open_at(tree, "/metadata").get(), LOCK_EX | LOCK_NB) != 0);
  reader.reset();
  other.reset();
  Fd writer = open_at(tree, "/metadata");
  lock_pool_file(writer, "metadata", LOCK_EX);
  CHECK(::flock(open_at(tree, "/metadata").get(), LOCK_SH | LOCK_NB) != 0);
}

TEST_CASE("a home without a pool's files lies in a pool that nothing names") {
  HostTree tree({{"/devicemapper/metadata/base", "{}"}});
  try {
    open_pool_part(tree.path("/devicemapper"), "", "data", O_RDONLY);
    FAIL("there is no such pool");
  } catch (const Error& e) {
    CHECK_FALSE(is_damage(e));
    CHECK(std::string(e.what()).find("in a thin pool that no storage-opt names") != std::string::npos);
    CHECK(e.hint().find("dm.thinpooldev=/dev/mapper/NAME") != std::string::npos);
  }
}

TEST_CASE("room in a pool: the data, what the metadata can map, or the filesystem below") {
  HostTree tree;
  auto space = [&](std::initializer_list<const char*> options) {
    return devicemapper_space(tree.root(), parse_devicemapper_options({options.begin(), options.end()}))
        .value();
  };
  Space data = space({"dm.loopdatasize=2G", "dm.basesize=512M"});
  CHECK(data.where == "a thin pool of the size of dm.loopdatasize");
  CHECK(data.free_bytes < (2ULL << 30));
  Space metadata = space({"dm.loopdatasize=2G", "dm.basesize=512M", "dm.loopmetadatasize=600K"});
  CHECK(metadata.where == "what a thin pool's metadata of that size can map");
  CHECK(metadata.free_bytes < data.free_bytes);
  CHECK(space({"dm.loopdatasize=2G", "dm.loopmetadatasize=64K"}).free_bytes == 0);
}

TEST_CASE("a program that says more than can be kept is an error, not a shorter list") {
  CHECK_THROWS_WITH_AS(run_process({"head", "-c", "70000000", "/dev/zero"}),
                       doctest::Contains("more than drover can take"), Error);
  CHECK(run_process({"head", "-c", "7000000", "/dev/zero"}).out.size() == 7'000'000);
}
