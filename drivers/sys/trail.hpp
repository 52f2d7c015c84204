#pragma once
#include <sys/stat.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "drivers/sys/dir.hpp"

namespace drover {

/// A directory that a walk has entered: open, or let go of and known by its device and inode. Copies share
/// one handle.
class TrailDir {
 public:
  TrailDir() = default;
  explicit TrailDir(Dir dir) : dir_(std::make_shared<const Dir>(std::move(dir))) {}

  const Dir& operator*() const { return *dir_; }
  const Dir* operator->() const { return dir_.get(); }
  bool is_open() const { return static_cast<bool>(dir_); }
  /// Closes it; again is no error.
  void let_go();
  /// Opens it again, if it is closed, as what holds `below`, an open directory that was opened below it.
  /// Throws Error if that is not in it any more.
  void reach_from(const TrailDir& below);

 private:
  std::shared_ptr<const Dir> dir_;
  struct stat is_ {};
  std::string path_;  // empty where it would be a shortened one
};

/// The directories from where a walk began down to where it is. Only the deepest of them keep their handles,
/// so that a tree may nest deeper than a process may have files open; what lies above is reached again when
/// the walk comes back to it. A Level has `void let_go(const Level& below)` and `void reach_from(const Level&
/// below)`, where `below` is the one that follows it; references to levels stay good until they are popped.
template <class Level, std::size_t kOpen = 4>
class Trail {
 public:
  bool empty() const { return levels_.empty(); }
  std::size_t size() const { return levels_.size(); }
  Level& back() { return levels_.back(); }
  const Level& back() const { return levels_.back(); }
  Level& operator[](std::size_t i) { return levels_[i]; }

  void push(Level level) {
    levels_.push_back(std::move(level));
    if (levels_.size() > kOpen) levels_[levels_.size() - kOpen - 1].let_go(levels_[levels_.size() - kOpen]);
  }
  /// Goes back to the level above, which is open afterwards.
  void pop() {
    if (levels_.size() > 1) levels_[levels_.size() - 2].reach_from(levels_.back());
    levels_.pop_back();
  }
  void clear() { levels_.clear(); }

 private:
  std::deque<Level> levels_;
};

}  // namespace drover
