#include "drivers/repeated_inodes.hpp"

#include <dirent.h>
#include <linux/magic.h>
#include <sys/statfs.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/trail.hpp"

namespace drover {

namespace {

constexpr std::size_t kFew = 16384;

/// A set that may say yes of what it has not (a Bloom filter): of a million inodes of one in 2000, of ten
/// million of one in five.
class SeenInodes {
 public:
  SeenInodes() : bits_(kBits / 64) {}
  /// Whether it was there, perhaps.
  bool insert(ino_t inode) {
    bool all = true;
    std::uint64_t hash = inode * 0x9e3779b97f4a7c15;
    for (int i = 0; i < 3; ++i) {
      hash ^= hash >> 29;
      hash *= 0xbf58476d1ce4e5b9;
      const std::uint64_t bit = hash >> (64 - kLog2);
      std::uint64_t& word = bits_[bit / 64];
      const std::uint64_t mask = std::uint64_t{1} << (bit % 64);
      all = all && (word & mask) != 0;
      word |= mask;
    }
    return all;
  }

 private:
  static constexpr int kLog2 = 25;  // 4 MiB
  static constexpr std::size_t kBits = std::size_t{1} << kLog2;
  std::vector<std::uint64_t> bits_;
};

/// Filesystems whose directories hold the numbers of the inodes themselves.
bool tells_inodes(const Dir& dir) {
  constexpr std::array<unsigned, 6> kSuch = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
                                             F2FS_SUPER_MAGIC, TMPFS_MAGIC,     0x2fc12fc1 /* zfs */};
  struct statfs fs;
  return ::fstatfs(dir.fd(), &fs) == 0 &&
         std::find(kSuch.begin(), kSuch.end(), static_cast<unsigned>(fs.f_type)) != kSuch.end();
}

}  // namespace

std::optional<RepeatedInodes> RepeatedInodes::read(const std::vector<const Dir*>& roots, Mounts mounts) {
  struct Level {
    TrailDir dir;
    std::vector<std::string> below;
    void let_go(const Level&) { dir.let_go(); }
    void reach_from(const Level& lower) { dir.reach_from(lower.dir); }
  };
  SeenInodes seen;
  RepeatedInodes found;
  auto enter = [&](Dir dir) {
    Level level;
    for (DirEntry& entry : dir.list()) {
      // A directory has one name. Where its kind is not told, whatever it is it may be one.
      if (entry.type == DT_DIR || entry.type == DT_UNKNOWN) level.below.push_back(std::move(entry.name));
      if (entry.type != DT_DIR && seen.insert(entry.inode)) found.inodes_.push_back(entry.inode);
    }
    level.dir = TrailDir(std::move(dir));
    return level;
  };
  for (const Dir* root : roots) {
    if (!tells_inodes(*root)) return std::nullopt;
    Trail<Level> levels;
    levels.push(enter(root->clone()));
    while (!levels.empty()) {
      check_interrupted();
      if (levels.back().below.empty()) {
        levels.pop();
        continue;
      }
      std::string name = std::move(levels.back().below.back());
      levels.back().below.pop_back();
      const Dir& dir = *levels.back().dir;
      auto below = mounts == Mounts::entered ? dir.try_sub(name) : dir.try_sub_same_mount(name);
      if (below) levels.push(enter(std::move(*below)));
    }
  }
  std::sort(found.inodes_.begin(), found.inodes_.end());
  found.inodes_.erase(std::unique(found.inodes_.begin(), found.inodes_.end()), found.inodes_.end());
  return found;
}

bool RepeatedInodes::contains(ino_t inode) const {
  return std::binary_search(inodes_.begin(), inodes_.end(), inode);
}

bool LinkMemory::is_to_forget(std::size_t remembered) {
  if (remembered < kFew || !look_) return false;
  repeated_ = std::exchange(look_, {})();
  return repeated_.has_value();
}

bool FirstNames::is_first(dev_t device, ino_t inode, std::uint64_t links) {
  if (links < 2) return true;
  if (memory_.is_to_forget(seen_.size()))
    std::erase_if(seen_, [&](const auto& seen) { return !memory_.wants(seen.second); });
  return !memory_.wants(inode) || seen_.insert({device, inode}).second;
}

}  // namespace drover
