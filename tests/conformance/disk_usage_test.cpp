// What a store takes on its filesystem; what is mounted there, as an engine mounts a container's view, is not
// of it.
#include <doctest/doctest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>

#include "drivers/repeated_inodes.hpp"
#include "drivers/sys/dir.hpp"
#include "migrate/store_summary.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

TEST_CASE("what is mounted in a store is neither counted nor read") {
  HostTree tree;
  tree.write("/own/file", "content");
  std::filesystem::create_directory(tree.path("/own/merged"));
  Dir top = Dir::open(tree.root()), own = top.sub("own");
  const std::uint64_t before = disk_usage(top);
  const std::string merged = tree.path("/own/merged");
  REQUIRE(::mount("tmpfs", merged.c_str(), "tmpfs", 0, nullptr) == 0);
  tree.write("/own/merged/foreign", std::string(1'000'000, 'y'));
  std::filesystem::create_hard_link(merged + "/foreign", merged + "/foreign-too");
  const std::uint64_t after = disk_usage(top);
  const bool passed = own.try_sub_same_mount("merged").has_value();
  const auto entered = RepeatedInodes::read({&top});
  const auto passed_over = RepeatedInodes::read({&top}, RepeatedInodes::Mounts::passed_over);
  const ino_t inode = own.sub("merged").stat("foreign").st_ino;
  REQUIRE(::umount(merged.c_str()) == 0);
  CHECK(after <= before);
  CHECK_FALSE(passed);
  REQUIRE((entered && passed_over));
  CHECK(entered->contains(inode));
  CHECK_FALSE(passed_over->contains(inode));
}

TEST_CASE("what a user may not read does not keep the rest of a store from being counted") {
  HostTree tree;
  tree.write("/own/file", std::string(100'000, 'x'));
  tree.write("/closed/file", std::string(1'000'000, 'y'));
  namespace fs = std::filesystem;
  for (const char* open : {"", "/own"}) fs::permissions(tree.path(open), fs::perms(0755));
  fs::permissions(tree.path("/closed"), fs::perms(0700));
  Dir top = Dir::open(tree.root());
  const std::uint64_t all = disk_usage(top);
  REQUIRE(::seteuid(65534) == 0);
  std::uint64_t readable = 0;
  std::string error;
  try {
    readable = disk_usage(top);
  } catch (const std::exception& e) {
    error = e.what();
  }
  REQUIRE(::seteuid(0) == 0);
  CHECK(error == "");
  CHECK(readable >= 100'000);
  CHECK(readable + 1'000'000 <= all);
}
