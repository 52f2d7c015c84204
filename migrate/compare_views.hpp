#pragma once
#include <cstdint>
#include <functional>
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
/// sides are one inode, or are both proven, or the source's is and the target's lies in the same extents.
/// What `leave_out` says yes to (paths from the root: "a/b"; "" is the root itself, whose entries are
/// compared all the same) is passed over, on both sides.
ViewDifferences compare_views(const ComparedView& source, const ComparedView& target, bool content,
                              const std::function<bool(const std::string& path)>& leave_out = {});

/// The same of what two layers of a delta driver are by themselves, each given as a view of that layer alone,
/// and of what they hide. Strict: marks that come to the same are told as different, an opaque directory and
/// one that has whiteouts besides, say. Layers that are alike show the same on layers that are.
ViewDifferences compare_deltas(const ComparedView& source, const ComparedView& target, bool content);

}  // namespace drover
