#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "drivers/view.hpp"

namespace drover {

/// One side of a comparison.
struct ComparedView {
  const View& view;
  Marks marks;
  /// From this layer of the stack on (0 = top) content is proven by digests and need not be compared again.
  unsigned proven_from = std::numeric_limits<unsigned>::max();
};

/// What a comparison found: the first differences, each "`path`: what", and how many there are in all.
struct ViewDifferences {
  std::vector<std::string> first;
  std::uint64_t count = 0;
  std::uint64_t compared_bytes = 0;
  bool none() const { return count == 0; }
};

/// Compares everything that two views show: names, types, modes, owners, times, sizes, links and hard-link
/// groups, device numbers, extended attributes; with `content`, also every file's bytes, except where both
/// sides are one inode or are both proven.
ViewDifferences compare_views(const ComparedView& source, const ComparedView& target, bool content);

}  // namespace drover
