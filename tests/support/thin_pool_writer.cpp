#include "tests/support/thin_pool_writer.hpp"

#include <endian.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "drivers/sys/crc32c.hpp"

namespace drover::test {

namespace {

constexpr std::size_t kNode = 4096;

void put32(std::string& block, std::size_t at, std::uint32_t value) {
  value = htole32(value);
  std::memcpy(block.data() + at, &value, sizeof value);
}

void put64(std::string& block, std::size_t at, std::uint64_t value) {
  value = htole64(value);
  std::memcpy(block.data() + at, &value, sizeof value);
}

std::string bytes_of(std::uint64_t value) {
  value = htole64(value);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

class Writer {
 public:
  std::string run(const ThinDevices& devices, const ThinPoolShape& shape) {
    blocks_.emplace_back(kNode, '\0');
    std::map<std::uint64_t, std::string> mapping, details;
    std::uint64_t used = 0;
    for (const auto& [device, blocks] : devices) {
      std::map<std::uint64_t, std::string> entries;
      for (const auto& [block, at] : blocks) entries.emplace(block, bytes_of(at.data << 24 | at.time));
      mapping.emplace(device, bytes_of(tree(entries, 8)));
      details.emplace(device, bytes_of(blocks.size()) + bytes_of(shape.transaction_id) + bytes_of(0));
      used += blocks.size();
    }
    std::uint64_t mapping_root = tree(mapping, 8), details_root = tree(details, 24);
    std::string& super = blocks_[0];
    put64(super, 32, 27022010);
    put32(super, 40, 2);
    put64(super, 48, shape.transaction_id);
    put64(super, 64, shape.data_blocks);
    put64(super, 72, std::min(used, shape.data_blocks));
    put64(super, 192, blocks_.size() + 16);
    put64(super, 200, blocks_.size());
    put64(super, 320, mapping_root);
    put64(super, 328, details_root);
    put32(super, 336, shape.block_sectors);
    put32(super, 340, 8);
    std::string whole;
    for (const std::string& block : blocks_) whole += block;
    for (std::size_t i = 0; i < blocks_.size(); ++i) reseal(whole, i);
    return whole;
  }

 private:
  std::uint64_t node(const std::vector<std::pair<std::uint64_t, std::string>>& entries,
                     std::size_t value_size, bool leaf) {
    std::string block(kNode, '\0');
    auto room = static_cast<std::uint32_t>((kNode - 32) / (8 + value_size) / 3 * 3);
    put32(block, 4, leaf ? 2 : 1);
    put64(block, 8, blocks_.size());
    put32(block, 16, static_cast<std::uint32_t>(entries.size()));
    put32(block, 20, room);
    put32(block, 24, static_cast<std::uint32_t>(value_size));
    for (std::size_t i = 0; i < entries.size(); ++i) {
      put64(block, 32 + i * 8, entries[i].first);
      entries[i].second.copy(block.data() + 32 + room * 8 + i * value_size, value_size);
    }
    blocks_.push_back(std::move(block));
    return blocks_.size() - 1;
  }

  /// Full leaves, then levels above them until there is one root.
  std::uint64_t tree(const std::map<std::uint64_t, std::string>& entries, std::size_t value_size) {
    std::vector<std::pair<std::uint64_t, std::string>> level(entries.begin(), entries.end());
    for (bool leaf = true;; leaf = false) {
      std::size_t size = leaf ? value_size : 8, room = (kNode - 32) / (8 + size) / 3 * 3;
      std::vector<std::pair<std::uint64_t, std::string>> above;
      for (std::size_t at = 0; at == 0 || at < level.size(); at += room) {
        auto begin = level.begin() + static_cast<std::ptrdiff_t>(at);
        auto end = level.begin() + static_cast<std::ptrdiff_t>(std::min(at + room, level.size()));
        std::uint64_t first = level.empty() ? 0 : begin->first;
        above.emplace_back(first, bytes_of(node({begin, end}, size, leaf)));
      }
      if (above.size() == 1) return blocks_.size() - 1;
      level = std::move(above);
    }
  }

  std::vector<std::string> blocks_;
};

}  // namespace

std::string thin_metadata(const ThinDevices& devices, const ThinPoolShape& shape) {
  return Writer().run(devices, shape);
}

void reseal(std::string& metadata, std::uint64_t block) {
  std::string_view bytes(metadata.data() + block * kNode + 4, kNode - 4);
  std::uint32_t sum = htole32(crc32c(UINT32_MAX, bytes) ^ (block == 0 ? 160774 : 121107));
  std::memcpy(metadata.data() + block * kNode, &sum, sizeof sum);
}

}  // namespace drover::test
