#include "migrate/run_tasks.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <set>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "drivers/sys/lend.hpp"

namespace drover {

namespace {

class TaskRunner : public Lender {
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
    if (tasks_.empty()) return;
    std::vector<std::jthread> others;
    try {
      for (std::size_t i = 1; i < threads; ++i) others.emplace_back([this] { work(true); });
    } catch (const std::system_error& e) {
      // At a limit of the user's or a control group's: those that there are do it.
      if (e.code() != std::errc::resource_unavailable_try_again) throw;
    }
    work(!others.empty());
    others.clear();
    if (failure_) std::rethrow_exception(failure_);
    if (left_ > 0) throw std::logic_error("tasks wait for each other");
  }

  bool lend(std::function<void()> work) override {
    std::lock_guard lock(mutex_);
    if (idle_ <= lent_.size()) return false;
    lent_.push_back(std::move(work));
    changed_.notify_one();
    return true;
  }

 private:
  void work(bool with_others) {
    Lender* before = std::exchange(Lender::of_this_thread(), with_others ? this : nullptr);
    take_tasks();
    Lender::of_this_thread() = before;
  }

  void take_tasks() {
    std::unique_lock lock(mutex_);
    for (;;) {
      // Nothing ready and nothing running: the rest, if any, waits for itself.
      ++idle_;
      changed_.wait(lock, [&] { return !lent_.empty() || failure_ || !ready_.empty() || running_ == 0; });
      --idle_;
      // First of all what a thread waits for that is at work.
      if (!lent_.empty()) {
        std::function<void()> work = std::move(lent_.back());
        lent_.pop_back();
        lock.unlock();
        work();
        lock.lock();
        continue;
      }
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
  std::vector<std::function<void()>> lent_;
  std::size_t running_ = 0, idle_ = 0, left_;
  std::exception_ptr failure_;
};

}  // namespace

void run_tasks(const std::vector<Task>& tasks, unsigned threads) { TaskRunner(tasks).run(threads); }

}  // namespace drover
