#include "migrate/run_tasks.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

namespace drover {

namespace {

class TaskRunner {
 public:
  explicit TaskRunner(const std::vector<Task>& tasks)
      : tasks_(tasks), waits_for_(tasks.size()), followers_(tasks.size()), left_(tasks.size()) {
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      waits_for_[i] = tasks[i].after.size();
      for (std::size_t before : tasks[i].after) followers_.at(before).push_back(i);
      if (waits_for_[i] == 0) ready_.insert(i);
    }
  }

  void run(unsigned threads) {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min<std::size_t>(threads, tasks_.size()); ++i)
      others.emplace_back([this] { work(); });
    work();
    others.clear();
    if (failure_) std::rethrow_exception(failure_);
    if (left_ > 0) throw std::logic_error("tasks wait for each other");
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      // Nothing ready and nothing running: the rest, if any, waits for itself.
      changed_.wait(lock, [&] { return failure_ || !ready_.empty() || running_ == 0; });
      if (failure_ || ready_.empty()) return;
      std::size_t task = ready_.extract(ready_.begin()).value();
      ++running_;
      lock.unlock();
      std::exception_ptr failure;
      try {
        tasks_[task].run();
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      finish(task, failure);
    }
  }

  void finish(std::size_t task, std::exception_ptr failure) {
    --running_;
    --left_;
    if (failure && !failure_) failure_ = failure;
    for (std::size_t follower : followers_[task])
      if (--waits_for_[follower] == 0) ready_.insert(follower);
    changed_.notify_all();
  }

  const std::vector<Task>& tasks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::size_t> waits_for_;
  std::vector<std::vector<std::size_t>> followers_;
  std::set<std::size_t> ready_;
  std::size_t running_ = 0, left_;
  std::exception_ptr failure_;
};

}  // namespace

void run_tasks(const std::vector<Task>& tasks, unsigned threads) { TaskRunner(tasks).run(threads); }

}  // namespace drover
