// The paths that a layer's record names: in bounded memory, whatever their number.
#include "migrate/recorded_paths.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "drivers/sys/error.hpp"

using namespace drover;

TEST_CASE("recorded paths are found by what they are") {
  RecordedPaths paths;
  for (const char* path : {"usr/bin", "", "a", "a"}) paths.add(path);
  paths.sort();
  for (const char* path : {"usr/bin", "", "a"}) CHECK(paths.contains(path));
  for (const char* path : {"usr", "usr/bi", "usr/bin/", "A"}) CHECK_FALSE(paths.contains(path));
}

TEST_CASE("a record of more paths than any layer has is refused, however short they are") {
  RecordedPaths paths;
  std::string why;
  try {
    for (std::size_t i = 0; i <= RecordedPaths::kMost; ++i) paths.add(std::to_string(i));
  } catch (const Error& e) {
    why = e.what();
  }
  CHECK(why == "its tar-split names more than 2097152 files, and drover reads no layer of more");
}

TEST_CASE("large sets are held one at a time, and small ones beside them") {
  constexpr std::size_t kEnough = 200000;
  auto fill = [&](RecordedPaths& paths) {
    for (std::size_t i = 0; i < kEnough; ++i) paths.add(std::to_string(i));
    paths.sort();
  };
  std::atomic<bool> second_is_there = false;
  std::thread other;
  {
    RecordedPaths large;
    fill(large);
    RecordedPaths small;
    small.add("a");
    other = std::thread([&] {
      RecordedPaths second;
      fill(second);
      second_is_there = true;
    });
    CHECK(large.contains("199999"));
    CHECK_FALSE(second_is_there);  // it cannot become so before this one ends
  }
  other.join();
  CHECK(second_is_there);
}
