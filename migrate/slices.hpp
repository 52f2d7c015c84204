#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "migrate/run_tasks.hpp"

namespace drover {

/// Calls `f(from, to)` for parts of 0 .. `count` which together are the whole: several on as many threads
/// where there is enough to do for them, else one. An exception as run_tasks says.
inline void for_slices(std::size_t count, const std::function<void(std::size_t, std::size_t)>& f) {
  constexpr std::size_t kWorthAThread = 256, kMostThreads = 8;
  std::size_t slices = std::clamp<std::size_t>(count / kWorthAThread, 1, kMostThreads);
  // Asks the system, each time.
  if (slices > 1) slices = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, slices);
  std::vector<Task> tasks;
  for (std::size_t i = 0; i < slices; ++i)
    tasks.push_back({[&, i] { f(count * i / slices, count * (i + 1) / slices); }, {}});
  run_tasks(tasks, static_cast<unsigned>(slices));
}

}  // namespace drover
