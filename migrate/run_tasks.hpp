#pragma once
#include <cstddef>
#include <functional>
#include <vector>

namespace drover {

/// One piece of work, and the pieces (by their place in the list) that must be done before it.
struct Task {
  std::function<void()> run;
  std::vector<std::size_t> after;
};

/// Runs all tasks on up to `threads` threads (fewer, where the system gives no more), each once those it
/// comes after are done; of several that could run, the first in the list. A thread without a task does what
/// the others lend (Lender). An exception ends it: no further task is begun, those that run are waited for,
/// and the first exception is thrown. A task that waits for itself is an std::logic_error.
void run_tasks(const std::vector<Task>& tasks, unsigned threads);

}  // namespace drover
