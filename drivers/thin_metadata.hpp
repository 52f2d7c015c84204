#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "drivers/sys/fd.hpp"

namespace drover {

/// A run of a thin device's blocks that lie one after another in the pool's data. All in blocks of the pool.
struct ThinExtent {
  std::uint64_t begin = 0;  ///< in the device
  std::uint64_t data = 0;   ///< in the pool's data
  std::uint64_t length = 0;
  friend bool operator==(const ThinExtent&, const ThinExtent&) = default;
};

/// What a pool's metadata says of the pool: the superblock (struct thin_disk_superblock and the two struct
/// disk_sm_root in it, drivers/md/dm-thin-metadata.c and persistent-data/dm-space-map-common.h).
struct ThinPoolFacts {
  std::uint64_t transaction_id = 0;
  std::uint64_t block_bytes = 0;  ///< of one data block
  std::uint64_t data_blocks = 0, used_data_blocks = 0;
  std::uint64_t metadata_blocks = 0, used_metadata_blocks = 0;  ///< of kThinMetadataBlock bytes
  bool needs_check =
      false;  ///< the kernel has met trouble and opens the pool read-only until thin_check has run
};

constexpr std::size_t kThinMetadataBlock = 4096;
constexpr std::uint32_t kLargestThinDevice = (1 << 24) - 1;

/// Reads the metadata of a thin pool without device-mapper: the superblock, the tree of device details, and
/// the two levels of trees that map a device's blocks. Nothing in it is trusted: each block has its checksum
/// and its own number, keys ascend, counts fit, no block is met twice in one walk. What does not hold is an
/// Error that names the block. Several threads may use one at once.
class ThinMetadata {
 public:
  /// `file`: the metadata file or device, open for reading, of a pool that is not active. `what`: its path,
  /// for messages.
  ThinMetadata(Fd file, std::string what);

  const ThinPoolFacts& pool() const { return pool_; }
  /// All devices of the pool by their ID, and how many blocks each of them maps.
  const std::map<std::uint64_t, std::uint64_t>& devices() const { return devices_; }
  /// Where a device's blocks are, in ascending order; what is in no extent reads as zeros. Throws Error if
  /// the pool has no such device.
  std::vector<ThinExtent> extents(std::uint64_t device) const;

 private:
  using Block = std::array<char, kThinMetadataBlock>;
  /// Called with a key and where its value is; ascending keys.
  using Visit = std::function<void(std::uint64_t key, const char* value)>;

  Block read_block(std::uint64_t number, std::uint32_t checksum_xor) const;
  void read_superblock();
  void walk(std::uint64_t root, std::size_t value_size, const Visit&) const;
  [[noreturn]] void damaged(std::uint64_t block, const std::string& why) const;

  Fd file_;
  std::string what_;
  ThinPoolFacts pool_;
  std::uint64_t mapping_root_ = 0, details_root_ = 0;
  std::map<std::uint64_t, std::uint64_t> devices_, roots_;
};

}  // namespace drover
