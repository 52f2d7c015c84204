#pragma once
#include <sys/resource.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "drivers/sys/fd.hpp"
#include "tests/support/run_drover.hpp"

namespace drover::test {

/// How little a process gets.
struct Means {
  rlim_t files = 64;
  rlim_t stack_bytes = 512 << 10;
  rlim_t memory_bytes = 768 << 20;  ///< of address space; sanitizers get all memory and stack there is
  unsigned seconds = 120;           ///< then it hangs, and is killed
};

/// What came of it.
struct Confined {
  std::string text;     ///< what the function gave back, or "threw: ...", or "killed by signal N"
  long peak_bytes = 0;  ///< the most memory that it had; 0 under sanitizers
};

/// Runs a function in a process of its own that has no more than that.
Confined run_confined(const std::function<std::string()>&, const Means& = {});

/// "<exit code>\n<standard error>" of a run of drover in such a process.
Confined drover_confined(const std::vector<std::string>& words, const Means& = {});

/// Every entry below a folder and the folder itself, by path: kind, mode, owner, size, times, attributes,
/// where a symlink leads and what a file holds. `leave_out` says of a path ("/a/b") that it is not looked at,
/// nor what is below. A hard link sets the time of change, without which the rest can be compared.
using Snapshot = std::map<std::string, std::string>;
enum class ChangeTimes { seen, left_out };
Snapshot snapshot(const std::string& folder,
                  const std::function<bool(const std::string& path)>& leave_out = nullptr,
                  ChangeTimes = ChangeTimes::seen);
/// The paths that one has and the other has not, or has otherwise, one a line.
std::string changes(const Snapshot& before, const Snapshot& after);

/// Sees whether an entry is opened; to look at it (O_PATH, stat) is not to open it.
class OpenWatch {
 public:
  explicit OpenWatch(const std::string& path);
  bool was_opened() const;

 private:
  Fd events_;
};

/// Whether sanitizers are in here, with which everything takes several times as long.
bool is_sanitized();

/// Whether the tests are to run at their full size (DROVER_TEST_LARGE=1); says what is left out otherwise.
bool at_full_size(const std::string& what_is_smaller);

}  // namespace drover::test
