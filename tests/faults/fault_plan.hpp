#pragma once
#include <cstddef>

namespace drover::faults {

/// What DROVER_FAULT asks for, "WHAT@N" or "WHAT@N+" (from the N-th change on), where the changes of a disk
/// are counted from 1 in the order in which they are made; or, since how many a run makes may vary,
/// "WHAT@CALL:PART": the first change by that call on a path with that part in it
/// ("stop@renameat2:image/vfs"; of a rename it is the new path):
///   before, after   SIGKILL before or after the change
///   stop            SIGSTOP after it: whoever waits can copy the disk as a power cut would leave it
///   term            SIGTERM before it, which is made
///   short           a write that takes half of what it was given (at least one byte)
///   ENOSPC, EIO, EDQUOT, EROFS, EMFILE   the change is not made and fails so
/// DROVER_FAULT_LOG names a file that gets a line for each change: its number, the call, what it is about.
/// Anything else in these variables ends the process with exit code 2: a test must not pass by a typing
/// error.
///
/// One change of a disk, from construction to destruction; no two at once in one process.
class Change {
 public:
  /// `at`: the descriptor that the call is about (-1: none); `name`: the name in it, or null.
  Change(const char* call, int at, const char* name);
  ~Change();
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

  int error() const { return error_; }  ///< the errno to fail with; 0: make the change
  std::size_t size(std::size_t asked) const { return is_short_ && asked > 1 ? asked / 2 : asked; }

 private:
  int error_ = 0;
  bool is_short_ = false, kill_after_ = false, stop_after_ = false;
};

}  // namespace drover::faults
