#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace drover::test {

/// A block of a thin device: where it is in the pool's data, and since when.
struct ThinBlock {
  std::uint64_t data = 0;
  std::uint32_t time = 0;
};

/// The devices of a thin pool: for each, its blocks.
using ThinDevices = std::map<std::uint64_t, std::map<std::uint64_t, ThinBlock>>;

/// What else the superblock says.
struct ThinPoolShape {
  std::uint64_t transaction_id = 1;
  std::uint32_t block_sectors = 128;
  std::uint64_t data_blocks = 1 << 14;
};

/// The metadata of such a pool, as far as a reader looks at it: the space maps' own blocks are left out.
std::string thin_metadata(const ThinDevices&, const ThinPoolShape& = {});

/// Gives a block of it (4096 bytes, by number) the checksum that its content asks for. Block 0 is the
/// superblock.
void reseal(std::string& metadata, std::uint64_t block);

}  // namespace drover::test
