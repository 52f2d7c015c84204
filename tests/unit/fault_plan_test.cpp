// What $DROVER_FAULT may say: a typing error must not make a test that tries nothing.
#include <doctest/doctest.h>

#include <cerrno>

#include "tests/faults/fault_plan_text.hpp"

TEST_CASE("a fault at the change of a number") {
  auto plan = drover::faults::parse_plan("ENOSPC@7+");
  REQUIRE(plan);
  CHECK(plan->what == drover::faults::Plan::What::error);
  CHECK(plan->error == ENOSPC);
  CHECK(plan->onwards);
  CHECK(plan->names(7, "write", "/any"));
  CHECK_FALSE(plan->names(8, "write", "/any"));
}

TEST_CASE("a fault at the first change of a kind and a place") {
  auto plan = drover::faults::parse_plan("stop@renameat2:image/vfs");
  REQUIRE(plan);
  CHECK(plan->what == drover::faults::Plan::What::stop);
  CHECK_FALSE(plan->onwards);
  CHECK(plan->names(3, "renameat2", "/var/lib/docker/image/vfs"));
  CHECK(plan->names(400, "renameat2", "/var/lib/docker/image/vfs/x"));
  CHECK_FALSE(plan->names(3, "renameat2", "/var/lib/docker/image/overlay2"));
  CHECK_FALSE(plan->names(3, "unlinkat", "/var/lib/docker/image/vfs"));
}

TEST_CASE("what makes no sense is no fault") {
  for (const char* text : {"", "stop", "stop@", "stop@0", "stop@x", "stop@3x", "stop@-1", "stop@:a",
                           "stop@3:a", "stop@renameat2:", "halt@3", "@3", "stop3", "stop@renameat2"})
    CHECK_FALSE_MESSAGE(drover::faults::parse_plan(text), std::string(text));
}
