#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "drivers/sys/dir.hpp"

namespace drover {

/// The inodes that have several names in some trees together. The number of an inode's links does not tell:
/// trees of layers share inodes, and so do a layer and its copy by hard links.
class RepeatedInodes {
 public:
  enum class Mounts { entered, passed_over };

  /// Reads the names of all that is below these directories, without a look at the files, in memory that does
  /// not grow with their number, or hardly. Nothing where directories may tell other inode numbers than
  /// stat() does.
  static std::optional<RepeatedInodes> read(const std::vector<const Dir*>& roots,
                                            Mounts mounts = Mounts::entered);

  /// Of an inode that has one name there it may be said by chance.
  bool contains(ino_t inode) const;

 private:
  std::vector<ino_t> inodes_;  ///< sorted
};

/// Which inodes a walk must remember until its end, for another name may come: all that have several links
/// while they are few, and from then on those that have several names in what is walked.
class LinkMemory {
 public:
  using Look = std::function<std::optional<RepeatedInodes>()>;
  /// Without `look` all are remembered for ever.
  explicit LinkMemory(Look look = {}) : look_(std::move(look)) {}

  bool wants(ino_t inode) const { return !repeated_ || repeated_->contains(inode); }
  /// With so many remembered: whether those that it does not want are now to be forgotten.
  bool is_to_forget(std::size_t remembered);

 private:
  Look look_;
  std::optional<RepeatedInodes> repeated_;
};

/// Tells of the names of a walk which is the first one of its inode.
class FirstNames {
 public:
  explicit FirstNames(LinkMemory::Look look = {}) : memory_(std::move(look)) {}
  bool is_first(dev_t device, ino_t inode, std::uint64_t links);

 private:
  LinkMemory memory_;
  std::set<std::pair<dev_t, ino_t>> seen_;
};

}  // namespace drover
