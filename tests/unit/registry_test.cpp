#include <doctest/doctest.h>

#include "drivers/driver.hpp"
#include "drivers/probe_backing.hpp"
#include "drivers/probe_scratch.hpp"

using namespace drover;

TEST_CASE("layer IDs are what the engine makes") {
  std::string hex(64, 'a');
  CHECK(is_layer_id(hex));
  CHECK(is_layer_id(hex + "-init"));
  CHECK(is_layer_id("x1y2z3abcdefghijklmnopqrs"));
  for (const char* bad :
       {"", "l", ".", "..", "a/b", "backingFsBlockDev", "x1y2z3abcdefghijklmnopqr-", "-init"})
    CHECK_FALSE(is_layer_id(bad));
  CHECK_FALSE(is_layer_id(std::string(63, 'a')));
  CHECK_FALSE(is_layer_id(std::string(65, 'a')));
  CHECK_FALSE(is_layer_id(std::string(64, 'A')));
  CHECK_FALSE(is_layer_id(std::string(64, 'g')));
  CHECK_FALSE(is_layer_id(hex + "-removing"));
  CHECK_FALSE(is_layer_id(hex + "-init-init"));
  CHECK_FALSE(is_layer_id(std::string(25, '/')));
}

TEST_CASE("the table holds each driver once and finds it by name") {
  CHECK(driver_table().size() == 8);
  for (const auto& entry : driver_table()) {
    CHECK(find_driver(entry.name) == &entry);
    CHECK(driver_name(entry.kind) == entry.name);
    CHECK(driver_entry(entry.kind).name == entry.name);
  }
  CHECK(find_driver("overlay3") == nullptr);
  CHECK(find_driver("") == nullptr);
}

TEST_CASE("filesystems have the engine's names") {
  CHECK(engine_filesystem_name(0xEF53) == "extfs");
  CHECK(engine_filesystem_name(0x58465342) == "xfs");
  CHECK(engine_filesystem_name(static_cast<int>(0x9123683E)) == "btrfs");
  CHECK(engine_filesystem_name(0x794C7630) == "overlayfs");
  CHECK(engine_filesystem_name(1) == "");
}

TEST_CASE("the nearest existing parent stands for a path that is not there") {
  CHECK(nearest_existing("/") == "/");
  CHECK(nearest_existing("/proc/self/no/such/dir") == "/proc/self");
  CHECK(nearest_existing("/etc/hostname/x") == "/etc");
}
