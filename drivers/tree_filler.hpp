#pragma once
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "drivers/entry_placer.hpp"

namespace drover {

/// Fills the directories of a tree that one thread walks, and lets threads that have nothing to do (Lender)
/// place files meanwhile: some at a time, of one directory. A directory gets its attributes when all that is
/// in it is there. Where nobody can help everything is done at once, in the order in which it is told.
///
/// An error of a file that another thread has placed is thrown by a later call, at the latest by finish().
class TreeFiller {
 public:
  /// `placer` must outlive this; it is this thread's.
  explicit TreeFiller(EntryPlacer& placer);
  ~TreeFiller();  ///< waits for the others
  TreeFiller(const TreeFiller&) = delete;
  TreeFiller& operator=(const TreeFiller&) = delete;

  /// A directory that is being filled.
  class Folder;
  using FolderRef = std::shared_ptr<Folder>;
  FolderRef begin(EntryPlacer::Folder number);
  /// As EntryPlacer::place(). `new_only`: nothing of that name can be there.
  void place(const Dir& from, std::string_view name, const struct stat&, const TrailDir& to, const FolderRef&,
             bool new_only);
  /// Nothing is placed in it any more; directories below it may still be filled.
  void end(const TrailDir& to, const FolderRef&, const struct stat&, std::vector<Xattr> xattrs, bool fresh);
  /// Waits until all is done, and adds up in the placer what the others have placed.
  void finish();

 private:
  struct Batch;
  void hand_over();
  void fill(const Batch&, EntryPlacer&);
  void close(Folder&);
  void throw_failure();

  EntryPlacer& placer_;
  std::unique_ptr<Batch> next_;  ///< what waits to be handed over
  std::mutex mutex_;
  std::condition_variable done_;
  std::size_t lent_ = 0;        ///< under the mutex, as are these
  std::exception_ptr failure_;  ///< the first one
  TransferCount by_others_;
};

}  // namespace drover
