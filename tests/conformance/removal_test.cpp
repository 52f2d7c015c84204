// What may keep a tree from being removed.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "drivers/sys/btrfs_ioctl.hpp"
#include "drivers/sys/error.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/drivers_under_test.hpp"
#include "tests/support/old_kernel.hpp"

using namespace drover;
using namespace drover::test;

TEST_CASE("flags of chattr do not keep a tree, and what lies beside it keeps its own") {
  for (const char* name : {"ext4", "btrfs", "xfs"}) {
    if (!filesystem(name).missing.empty()) {
      MESSAGE("SKIP: nothing protected on " << name << ": " << filesystem(name).missing);
      continue;
    }
    TestFolder folder(filesystem(name));
    Dir top = Dir::open(folder.path());
    auto set = [](const Fd& file, int flags) { REQUIRE(::ioctl(file.get(), FS_IOC_SETFLAGS, &flags) == 0); };
    Dir deep = top.make_path("tree/closed/deep", 0755);
    deep.write_new("log", "", 0644);
    deep.write_new("other", "", 0644);
    deep.make_symlink("link", "log");
    top.write_new("beside", "", 0644);
    top.make_dir("empty", 0755);
    REQUIRE(::link((folder.path() + "/tree/closed/deep/other").c_str(),
                   (folder.path() + "/in-use").c_str()) == 0);
    set(deep.open_file("log"), FS_APPEND_FL);
    set(deep.open_file("other"), FS_IMMUTABLE_FL);
    set(top.open_file("beside"), FS_IMMUTABLE_FL);
    for (const char* path : {"tree/closed/deep", "tree/closed", "tree", "empty"})
      set(Fd(::open((folder.path() + "/" + path).c_str(), O_RDONLY | O_CLOEXEC)), FS_IMMUTABLE_FL);
    CHECK_THROWS_AS(top.unlink("beside"), Error);
    top.remove_tree("tree");
    top.remove_tree("empty");
    CHECK_FALSE(top.exists("tree"));
    CHECK_FALSE(top.exists("empty"));
    int flags = 0;
    REQUIRE(::ioctl(top.open_file("beside").get(), FS_IOC_GETFLAGS, &flags) == 0);
    CHECK((flags & FS_IMMUTABLE_FL) != 0);
    // A name of what was removed that is in use elsewhere: the flag is of the file, not of the name.
    REQUIRE(::ioctl(top.open_file("in-use").get(), FS_IOC_GETFLAGS, &flags) == 0);
    CHECK((flags & FS_IMMUTABLE_FL) != 0);
    for (const char* kept : {"beside", "in-use"}) set(top.open_file(kept), 0);
  }
}

TEST_CASE("read-only subvolumes do not keep a tree") {
  if (!filesystem("btrfs").missing.empty()) {
    MESSAGE("SKIP: no read-only subvolumes: " << filesystem("btrfs").missing);
    return;
  }
  TestFolder folder(filesystem("btrfs"));
  Dir top = Dir::open(folder.path());
  Dir tree = top.make_path("tree/below", 0755);
  for (const char* name : {"empty", "full", "nested"}) create_subvolume(tree, name);
  tree.sub("full").write_new("file", "", 0644);
  create_subvolume(tree.sub("nested"), "inner");
  tree.sub("nested").sub("inner").write_new("file", "", 0644);
  __u64 read_only = BTRFS_SUBVOL_RDONLY;
  for (const char* path : {"empty", "full", "nested/inner", "nested"})
    REQUIRE(::ioctl(tree.walk(path).fd(), BTRFS_IOC_SUBVOL_SETFLAGS, &read_only) == 0);
  top.remove_tree("tree");
  CHECK_FALSE(top.exists("tree"));
}

TEST_CASE("empty subvolumes that rmdir refuses, as it does before Linux 4.18, do not keep a tree") {
  if (!filesystem("btrfs").missing.empty()) {
    MESSAGE("SKIP: no empty subvolumes: " << filesystem("btrfs").missing);
    return;
  }
  TestFolder folder(filesystem("btrfs"));
  Dir top = Dir::open(folder.path());
  Dir tree = top.make_path("tree", 0755);
  for (const char* name : {"empty", "read-only", "protected"}) create_subvolume(tree, name);
  __u64 read_only = BTRFS_SUBVOL_RDONLY;
  REQUIRE(::ioctl(tree.sub("read-only").fd(), BTRFS_IOC_SUBVOL_SETFLAGS, &read_only) == 0);
  int flags = FS_IMMUTABLE_FL;
  REQUIRE(::ioctl(tree.sub("protected").fd(), FS_IOC_SETFLAGS, &flags) == 0);
  auto clear_where_refused = [&] {
    auto clear = [&] {
      // Of all directories, but then only subvolumes are told apart.
      answer_call(SYS_unlinkat, EPERM, AT_REMOVEDIR);
      tree.clear();
      return std::string("cleared");
    };
    return run_confined(clear).text;
  };
  CHECK(clear_where_refused() == "cleared");
  CHECK(tree.list().empty());
  // What is no subvolume is refused for another reason.
  tree.make_dir("directory", 0755);
  CHECK(clear_where_refused() ==
        "threw: cannot remove `" + folder.path() + "/tree/directory`: operation not permitted");
  tree.remove_dir("directory");
}
