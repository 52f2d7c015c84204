#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <utility>

namespace drover {

/// Tells hard-link groups of two trees apart while both are walked in the same order: a group is known by the
/// number of the step at which its first name was seen. Two trees link alike if at every step both give the
/// same number.
class LinkGroups {
 public:
  using Inode = std::pair<dev_t, ino_t>;

  std::uint64_t group_of(const struct stat& st, std::uint64_t step) {
    if (st.st_nlink < 2 || S_ISDIR(st.st_mode)) return step;
    return groups_.try_emplace({st.st_dev, st.st_ino}, step).first->second;
  }

 private:
  std::map<Inode, std::uint64_t> groups_;
};

}  // namespace drover
