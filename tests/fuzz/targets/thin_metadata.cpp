// The metadata of a thin pool. Checksums are put right here, since a fuzzer does not find them: the first
// byte says for how many blocks, from the second one on each is followed by what it holds.
#include "drivers/thin_metadata.hpp"

#include "tests/fuzz/target.hpp"
#include "tests/support/tar_split_writer.hpp"
#include "tests/support/thin_pool_writer.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

/// A small pool, which the input then changes at places that it names: block, offset, byte by byte.
std::string damaged_pool(std::string_view input) {
  test::ThinDevices devices;
  for (std::uint64_t device = 1; device <= 3; ++device)
    for (std::uint64_t block = 0; block < 40; ++block) devices[device][block * device] = {block + device, 1};
  static const std::string kPool = test::thin_metadata(devices);
  std::string pool = kPool;
  const std::size_t blocks = pool.size() / kThinMetadataBlock;
  std::vector<bool> changed(blocks);
  for (; input.size() >= 5; input.remove_prefix(5)) {
    auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(input[i])); };
    const std::size_t block = byte(0) % blocks, at = (byte(1) << 8 | byte(2)) % kThinMetadataBlock;
    // Above 16 is a byte that stays until it is reached by one of its neighbours.
    for (std::size_t i = 0; i < 1 + byte(3) % 8 && at + i < kThinMetadataBlock; ++i)
      pool[block * kThinMetadataBlock + at + i] = i == 0 ? input[4] : '\0';
    changed[block] = true;
  }
  for (std::size_t block = 0; block < blocks; ++block)
    if (changed[block]) test::reseal(pool, block);
  return pool;
}

void check_pool(std::string_view bytes) {
  ThinMetadata metadata(test::memory_file(bytes), "/pool");
  const ThinPoolFacts& pool = metadata.pool();
  promise(pool.block_bytes > 0 && pool.block_bytes % 65536 == 0 && pool.used_data_blocks <= pool.data_blocks,
          "the superblock makes sense");
  for (const auto& [device, blocks] : metadata.devices())
    refused([&, device = device, blocks = blocks] {
      std::uint64_t end = 0, mapped = 0;
      for (const ThinExtent& extent : metadata.extents(device)) {
        promise(extent.length > 0 && extent.begin >= end, "extents are in their order");
        promise(extent.data <= pool.data_blocks && extent.length <= pool.data_blocks - extent.data,
                "an extent lies in the pool's data");
        end = extent.begin + extent.length;
        mapped += extent.length;
      }
      promise(mapped == blocks, "a device maps as many blocks as it says");
    });
}

}  // namespace

FUZZ_TARGET(thin_metadata) {
  refused([&] { check_pool(damaged_pool(input)); });
  check_pool(input);
}
