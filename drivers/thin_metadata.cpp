// The on-disk format, all little endian (drivers/md/dm-thin-metadata.c, drivers/md/persistent-data/):
//
//     block 0     the superblock: checksum, flags, own number, UUID, magic, version, time, transaction, two
//     space
//                 maps' roots, the two trees' roots, block sizes
//     tree node   checksum, flags (1 inner, 2 leaf), own number, entries, room for entries, value size; then
//     keys,
//                 then values; an inner node's values are block numbers
//     mapping     a tree device -> root of a tree block -> (data block << 24 | time)
//     details     a tree device -> mapped blocks, transaction, creation time, snapshot time
//
// A checksum is crc32c of all but itself, xor a number that tells the kinds of block apart.

#include "drivers/thin_metadata.hpp"

#include <endian.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <unordered_set>

#include "drivers/sys/crc32c.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr std::uint32_t kSuperblockXor = 160774, kNodeXor = 121107;
constexpr std::uint64_t kMagic = 27022010;
constexpr std::uint32_t kOldestVersion = 1, kNewestVersion = 2;
constexpr std::size_t kNodeHeader = 32, kKeySize = 8, kPointerSize = 8;
constexpr std::size_t kDetailsSize = 24;
constexpr std::uint32_t kInner = 1, kLeaf = 2;
constexpr unsigned kDeepest = 16;  // 2^64 keys need less
constexpr unsigned kTimeBits = 24;
// What the kernel allows (dm-thin.c): 64 KiB to 1 GiB in steps of 64 KiB; the sector is 512 bytes.
constexpr std::uint64_t kSector = 512, kBlockStep = 64 << 10, kLargestBlock = 1 << 30;

std::uint32_t u32_at(const char* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return le32toh(value);
}

std::uint64_t u64_at(const char* at) {
  std::uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return le64toh(value);
}

/// Adds one block, joining it to the last extent where both sides go on.
void append(std::vector<ThinExtent>& extents, std::uint64_t block, std::uint64_t data) {
  if (!extents.empty()) {
    ThinExtent& last = extents.back();
    if (last.begin + last.length == block && last.data + last.length == data) {
      ++last.length;
      return;
    }
  }
  extents.push_back({block, data, 1});
}

}  // namespace

ThinMetadata::ThinMetadata(Fd file, std::string what) : file_(std::move(file)), what_(std::move(what)) {
  read_superblock();
  walk(details_root_, kDetailsSize, [&](std::uint64_t device, const char* value) {
    if (device > kLargestThinDevice)
      throw Error("`" + what_ + "` is damaged: it has a device " + std::to_string(device));
    devices_.emplace(device, u64_at(value));
  });
  walk(mapping_root_, kPointerSize, [&](std::uint64_t device, const char* value) {
    if (devices_.contains(device)) roots_.emplace(device, u64_at(value));
  });
}

std::vector<ThinExtent> ThinMetadata::extents(std::uint64_t device) const {
  auto mapped = devices_.find(device);
  auto root = roots_.find(device);
  if (mapped == devices_.end() || root == roots_.end())
    throw Error("the pool of `" + what_ + "` has no device " + std::to_string(device));
  std::vector<ThinExtent> extents;
  std::uint64_t count = 0;
  walk(root->second, kPointerSize, [&](std::uint64_t block, const char* value) {
    std::uint64_t data = u64_at(value) >> kTimeBits;
    if (data >= pool_.data_blocks || block > UINT64_MAX / kLargestBlock)
      throw Error("`" + what_ + "` is damaged: device " + std::to_string(device) +
                  " has a block outside of the pool");
    append(extents, block, data);
    ++count;
  });
  if (count != mapped->second)
    throw Error("`" + what_ + "` is damaged: device " + std::to_string(device) + " should map " +
                std::to_string(mapped->second) + " blocks, and maps " + std::to_string(count));
  return extents;
}

void ThinMetadata::damaged(std::uint64_t block, const std::string& why) const {
  throw Error(
      "`" + what_ + "` is damaged: block " + std::to_string(block) + " " + why,
      "thin_check (package thin-provisioning-tools) lists what is wrong, thin_repair can mend a copy");
}

ThinMetadata::Block ThinMetadata::read_block(std::uint64_t number, std::uint32_t checksum_xor) const {
  Block block;
  if (number > static_cast<std::uint64_t>(INT64_MAX) / block.size()) damaged(number, "is beyond its end");
  std::size_t have = 0;
  while (have < block.size()) {
    ssize_t n = ::pread(file_.get(), block.data() + have, block.size() - have,
                        static_cast<off_t>(number * block.size() + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("cannot read `" + what_ + "`");
    if (n == 0) damaged(number, "is beyond its end");
    have += static_cast<std::size_t>(n);
  }
  std::uint32_t sum = crc32c(UINT32_MAX, {block.data() + 4, block.size() - 4}) ^ checksum_xor;
  if (sum != u32_at(block.data())) damaged(number, "has a wrong checksum");
  if (u64_at(block.data() + 8) != number) damaged(number, "is another one");
  return block;
}

void ThinMetadata::read_superblock() {
  constexpr std::size_t kFlags = 4, kMagicAt = 32, kVersion = 40, kTransaction = 48, kDataMap = 64,
                        kMetadataMap = 192;
  constexpr std::size_t kMappingRoot = 320, kDetailsRoot = 328, kDataBlock = 336, kMetadataBlock = 340,
                        kIncompatible = 360;
  Block block = read_block(0, kSuperblockXor);
  const char* at = block.data();
  if (u64_at(at + kMagicAt) != kMagic) damaged(0, "is no superblock of a thin pool");
  std::uint32_t version = u32_at(at + kVersion);
  if (version < kOldestVersion || version > kNewestVersion || u32_at(at + kIncompatible) != 0)
    throw Error("`" + what_ + "` is of version " + std::to_string(version) + ", which drover does not know");
  if (u32_at(at + kMetadataBlock) * kSector != kThinMetadataBlock) damaged(0, "has another block size");
  pool_.needs_check = u32_at(at + kFlags) & 1;
  pool_.transaction_id = u64_at(at + kTransaction);
  pool_.block_bytes = u32_at(at + kDataBlock) * kSector;
  if (pool_.block_bytes == 0 || pool_.block_bytes % kBlockStep != 0 || pool_.block_bytes > kLargestBlock)
    damaged(0, "has an impossible data block size");
  pool_.data_blocks = u64_at(at + kDataMap);
  pool_.used_data_blocks = u64_at(at + kDataMap + 8);
  pool_.metadata_blocks = u64_at(at + kMetadataMap);
  pool_.used_metadata_blocks = u64_at(at + kMetadataMap + 8);
  if (pool_.data_blocks > static_cast<std::uint64_t>(INT64_MAX) / pool_.block_bytes ||
      pool_.used_data_blocks > pool_.data_blocks || pool_.used_metadata_blocks > pool_.metadata_blocks)
    damaged(0, "has impossible counts");
  mapping_root_ = u64_at(at + kMappingRoot);
  details_root_ = u64_at(at + kDetailsRoot);
}

void ThinMetadata::walk(std::uint64_t root, std::size_t value_size, const Visit& visit) const {
  struct Level {
    Block block;
    std::uint64_t number;
    std::uint32_t entries, room, next;
    bool leaf;
  };
  std::vector<Level> levels;
  std::unordered_set<std::uint64_t> met;
  std::optional<std::uint64_t> last;
  auto enter = [&](std::uint64_t number) {
    if (!met.insert(number).second) damaged(number, "is met twice in one tree");
    if (levels.size() >= kDeepest) damaged(number, "is too deep in its tree");
    Level level{read_block(number, kNodeXor), number, 0, 0, 0, false};
    std::uint32_t flags = u32_at(level.block.data() + 4);
    level.leaf = flags & kLeaf;
    level.entries = u32_at(level.block.data() + 16);
    level.room = u32_at(level.block.data() + 20);
    std::size_t size = u32_at(level.block.data() + 24);
    if (flags != kInner && flags != kLeaf) damaged(number, "is no node of a tree");
    if (size != (level.leaf ? value_size : kPointerSize)) damaged(number, "has values of another size");
    if (level.entries > level.room || level.room > (kThinMetadataBlock - kNodeHeader) / (kKeySize + size))
      damaged(number, "has an impossible number of entries");
    levels.push_back(level);
  };
  enter(root);
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.next == level.entries) {
      levels.pop_back();
      continue;
    }
    std::uint32_t i = level.next++;
    const char* keys = level.block.data() + kNodeHeader;
    std::uint64_t key = u64_at(keys + i * kKeySize);
    const char* values = keys + level.room * kKeySize;
    if (!level.leaf) {
      if (i > 0 && key <= u64_at(keys + (i - 1) * kKeySize))
        damaged(level.number, "has its keys in disorder");
      enter(u64_at(values + i * kPointerSize));
      continue;
    }
    if (last && key <= *last) damaged(level.number, "has its keys in disorder");
    last = key;
    visit(key, values + i * value_size);
  }
}

}  // namespace drover
