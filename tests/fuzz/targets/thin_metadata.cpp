// The metadata of a thin pool. Checksums are put right here, since a fuzzer does not find them: the first
// byte says for how many blocks, from the second one on each is followed by what it holds.
#include "drivers/thin_metadata.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/fuzz/target.hpp"
#include "tests/support/tar_split_writer.hpp"
#include "tests/support/thin_pool_writer.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

std::string sound_pool() {
  test::ThinDevices devices;
  for (std::uint64_t device = 1; device <= 3; ++device)
    for (std::uint64_t block = 0; block < 40; ++block) devices[device][block * device] = {block + device, 1};
  return test::thin_metadata(devices);
}

/// A small pool, which an input then changes at places that it names: block, offset, byte by byte. Only the
/// blocks that are changed are written, and put back for the next input.
class DamagedPool {
 public:
  explicit DamagedPool(std::string_view input) : changed_(blocks()) {
    for (; input.size() >= 5; input.remove_prefix(5)) {
      auto byte = [&](std::size_t i) {
        return static_cast<std::size_t>(static_cast<unsigned char>(input[i]));
      };
      const std::size_t block = byte(0) % blocks(), at = (byte(1) << 8 | byte(2)) % kThinMetadataBlock;
      // Above 16 is a byte that stays until it is reached by one of its neighbours.
      for (std::size_t i = 0; i < 1 + byte(3) % 8 && at + i < kThinMetadataBlock; ++i)
        pool()[block * kThinMetadataBlock + at + i] = i == 0 ? input[4] : '\0';
      changed_[block] = true;
    }
    for (std::size_t block = 0; block < blocks(); ++block)
      if (changed_[block]) {
        test::reseal(pool(), block);
        write(block);
      }
  }
  ~DamagedPool() {
    for (std::size_t block = 0; block < blocks(); ++block)
      if (changed_[block]) {
        pool().replace(block * kThinMetadataBlock, kThinMetadataBlock, sound(), block * kThinMetadataBlock,
                       kThinMetadataBlock);
        write(block);
      }
  }
  DamagedPool(const DamagedPool&) = delete;
  DamagedPool& operator=(const DamagedPool&) = delete;
  Fd open() const { return Fd(::fcntl(file(), F_DUPFD_CLOEXEC, 0)); }

 private:
  static const std::string& sound() {
    static const std::string bytes = sound_pool();
    return bytes;
  }
  static std::string& pool() {
    static std::string bytes = sound();
    return bytes;
  }
  static int file() {
    static const Fd made = test::memory_file(sound());
    return made.get();
  }
  static std::size_t blocks() { return sound().size() / kThinMetadataBlock; }
  static void write(std::size_t block) {
    const std::size_t at = block * kThinMetadataBlock;
    if (::pwrite(file(), pool().data() + at, kThinMetadataBlock, static_cast<off_t>(at)) !=
        static_cast<ssize_t>(kThinMetadataBlock))
      std::abort();
  }

  std::vector<bool> changed_;
};

void check_pool(Fd file) {
  ThinMetadata metadata(std::move(file), "/pool");
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
  {
    const DamagedPool pool(input);
    refused([&] { check_pool(pool.open()); });
  }
  check_pool(test::memory_file(input));
}
