#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <utility>

#include "drivers/repeated_inodes.hpp"

namespace drover {

/// Tells hard-link groups of two trees apart while both are walked in the same order: a group is known by the
/// number of the step at which its first name was seen. Two trees link alike if at every step both give the
/// same number.
class LinkGroups {
 public:
  using Inode = std::pair<dev_t, ino_t>;

  /// `look` as for LinkMemory, of the tree that is walked.
  explicit LinkGroups(LinkMemory::Look look = {}) : memory_(std::move(look)) {}

  std::uint64_t group_of(const struct stat& st, std::uint64_t step) {
    if (S_ISDIR(st.st_mode) || !may_have_more(st)) return step;
    if (memory_.is_to_forget(groups_.size())) {
      std::erase_if(groups_, [&](const auto& group) { return !memory_.wants(group.first.second); });
      if (!may_have_more(st)) return step;
    }
    return groups_.try_emplace({st.st_dev, st.st_ino}, step).first->second;
  }

  /// Whether it may have another name in the tree.
  bool may_have_more(const struct stat& st) const { return st.st_nlink > 1 && memory_.wants(st.st_ino); }

 private:
  LinkMemory memory_;
  std::map<Inode, std::uint64_t> groups_;
};

}  // namespace drover
