#pragma once
#include <sys/stat.h>

#include <string>
#include <vector>

#include "drivers/view.hpp"

namespace drover {

/// One side of a pair: an entry and where it lies.
struct PairEntry {
  const ViewDir& in;
  const ViewEntry& entry;
  const struct stat& st;
  const Dir& holder() const { return in.holder(entry); }
};

/// A directory of one side.
struct PairDir {
  const ViewDir& dir;
  const std::vector<std::string>& hidden;  ///< as ViewDir::entries tells
};

/// What walk_pair tells: every name of two views, in one fixed order (sorted by name, depth first), side by
/// side. What is told is valid during the call only.
class PairVisitor {
 public:
  virtual ~PairVisitor() = default;
  /// Both have it. Answer: descend? Into both if both are directories, else into the side that is one.
  virtual bool both(const PairEntry& first, const PairEntry& second, const std::string& path) = 0;
  /// Only one has it. Answer: descend, if it is a directory?
  virtual bool only_first(const PairEntry&, const std::string& path) = 0;
  virtual bool only_second(const PairEntry&, const std::string& path) = 0;
  /// A directory that is descended into, on the sides that have it, the root included.
  virtual void enter(const PairDir* /*first*/, const PairDir* /*second*/, const std::string& /*path*/) {}
  /// Is this name, on both sides, not to be looked at at all? It may be one that cannot be.
  virtual bool passes_over(const std::string& /*path*/) { return false; }
  /// The end of a directory that was descended into, the root included.
  virtual void leave() {}
};

/// Walks two views at once, without recursion and with the handles of a few directories, however deep.
/// `second` may be null: then everything is only_first.
void walk_pair(const ViewDir& first, const ViewDir* second, PairVisitor&);

}  // namespace drover
