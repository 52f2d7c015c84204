#include "migrate/run_tasks.hpp"

#include <doctest/doctest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "drivers/sys/lend.hpp"
#include "migrate/slices.hpp"

using namespace drover;

TEST_CASE("nothing to do is done") { run_tasks({}, 4); }

TEST_CASE("one thread runs the first of the list that can run") {
  std::string order;
  std::vector<Task> tasks;
  auto add = [&](char name, std::vector<std::size_t> after) {
    tasks.push_back({[&order, name] { order += name; }, std::move(after)});
  };
  add('a', {3});
  add('b', {});
  add('c', {1});
  add('d', {});
  add('e', {0, 2});
  run_tasks(tasks, 1);
  CHECK(order == "bcdae");
}

TEST_CASE("with many threads every task runs once, after those that it waits for") {
  constexpr std::size_t kTasks = 300;
  std::vector<std::atomic<int>> done(kTasks);
  std::atomic<int> early = 0;
  std::vector<Task> tasks;
  for (std::size_t i = 0; i < kTasks; ++i) {
    std::vector<std::size_t> after;
    if (i >= 3) after = {i / 2, i - 1 - i % 3};
    tasks.push_back({[&, i, after] {
                       for (std::size_t before : after) early += done[before] == 1 ? 0 : 1;
                       ++done[i];
                     },
                     after});
  }
  run_tasks(tasks, 8);
  CHECK(early == 0);
  for (std::size_t i = 0; i < kTasks; ++i) CHECK(done[i] == 1);
}

TEST_CASE("tasks that do not wait for each other run at once") {
  // Each waits for the other to have begun: one after the other would never end.
  std::mutex mutex;
  std::condition_variable changed;
  int begun = 0;
  auto meet = [&] {
    std::unique_lock lock(mutex);
    ++begun;
    changed.notify_all();
    changed.wait(lock, [&] { return begun == 2; });
  };
  run_tasks({{meet, {}}, {meet, {}}}, 2);
  CHECK(begun == 2);
}

TEST_CASE("where the system gives no more threads, one does it all") {
  pthread_attr_t as_it_was, huge;
  REQUIRE(::pthread_getattr_default_np(&as_it_was) == 0);
  ::pthread_attr_init(&huge);
  ::pthread_attr_setstacksize(&huge, std::size_t{1} << 50);  // more than there are addresses
  REQUIRE(::pthread_setattr_default_np(&huge) == 0);
  int done = 0;  // of one thread
  std::thread::id last;
  std::vector<Task> tasks(10, {[&] {
                                 ++done;
                                 last = std::this_thread::get_id();
                               },
                               {}});
  run_tasks(tasks, 4);
  ::pthread_setattr_default_np(&as_it_was);
  ::pthread_attr_destroy(&huge);
  ::pthread_attr_destroy(&as_it_was);
  CHECK(done == 10);
  CHECK(last == std::this_thread::get_id());
}

TEST_CASE("the first failure is thrown, and nothing is begun after it") {
  for (unsigned threads : {1U, 2U}) {
    CAPTURE(threads);
    bool followed = false;
    std::atomic<int> begun = 0;
    std::vector<Task> tasks = {{[] { throw std::runtime_error("the first"); }, {}}};
    for (int i = 0; i < 50; ++i) tasks.push_back({[&] { followed = true; }, {0}});
    for (int i = 0; i < 50; ++i) tasks.push_back({[&] { ++begun; }, {}});
    CHECK_THROWS_WITH_AS(run_tasks(tasks, threads), "the first", std::runtime_error);
    CHECK_FALSE(followed);
    if (threads == 1) CHECK(begun == 0);
  }
}

TEST_CASE("tasks that wait for themselves are an error, after the others have run") {
  bool ran = false;
  std::vector<Task> tasks = {{[] {}, {1}}, {[] {}, {0}}, {[&] { ran = true; }, {}}};
  for (unsigned threads : {1U, 3U}) CHECK_THROWS_AS(run_tasks(tasks, threads), std::logic_error);
  CHECK(ran);
}

TEST_CASE("a thread without a task does what another lends, and alone there is nobody") {
  CHECK_FALSE(Lender::of_this_thread());
  std::thread::id lender, helper;
  std::promise<void> done;
  auto lend = [&] {
    lender = std::this_thread::get_id();
    auto work = [&] {
      helper = std::this_thread::get_id();
      done.set_value();
    };
    // The other thread may not have come to wait yet.
    while (!Lender::of_this_thread()->lend(work)) std::this_thread::yield();
    done.get_future().wait();
  };
  run_tasks({{lend, {}}}, 2);
  CHECK(lender != helper);
  CHECK_FALSE(Lender::of_this_thread());
  run_tasks({{[] { CHECK_FALSE(Lender::of_this_thread()); }, {}}}, 1);
}

TEST_CASE("while all threads have tasks nobody does what is lent") {
  std::latch both(2), tried(2);
  std::atomic<int> lent = 0;
  auto task = [&] {
    both.arrive_and_wait();
    if (Lender::of_this_thread()->lend([] {})) ++lent;
    tried.arrive_and_wait();
  };
  run_tasks({{task, {}}, {task, {}}}, 2);
  CHECK(lent == 0);
}

TEST_CASE("what was lent is done though a task fails") {
  std::atomic<bool> done = false;
  auto fails = [&] {
    while (!Lender::of_this_thread()->lend([&] { done = true; })) std::this_thread::yield();
    throw std::runtime_error("failed");
  };
  CHECK_THROWS_AS(run_tasks({{fails, {}}}, 2), std::runtime_error);
  CHECK(done);
}

TEST_CASE("slices are the whole, each part once, however many there are") {
  for (std::size_t count : {0, 1, 255, 256, 5000}) {
    std::vector<std::atomic<int>> seen(count);
    for_slices(count, [&](std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) ++seen[i];
    });
    CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& n) { return n == 1; }));
  }
}
