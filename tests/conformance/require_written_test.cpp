// Disks that do not take what was written, under kernels whose syncfs does not tell.
#include "migrate/require_written.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include <cerrno>

#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/process.hpp"
#include "migrate/stage_records.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/place.hpp"
#include "tests/conformance/renames_host.hpp"
#include "tests/support/old_kernel.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {

void make(const std::vector<std::string>& argv) {
  ProcessResult result = run_process(argv);
  REQUIRE_MESSAGE(result.exit_code == 0, argv[0] << ": " << result.err);
}

/// A filesystem that has less on its disk than it believes, as one on a thin volume may, and nothing left.
class OverfullDisk {
 public:
  OverfullDisk() : below_({"mkfs.ext4", "-q"}, "32M"), top_(below_.path + "/top") {
    REQUIRE_MESSAGE(below_.error.empty(), below_.error);
    Dir below = Dir::open(below_.path);
    std::string image = below_.path + "/image";
    make({"truncate", "-s", "200M", image});
    make({"mkfs.ext4", "-q", image});
    below.make_dir("top", 0755);
    make({"mount", "-o", "loop", image, top_});
    Dir::open(top_).sync_fs();
    Fd filler = below.open_file("filler", O_RDWR | O_CREAT, 0600);
    off_t size = 0;
    for (off_t step = 1 << 24; step >= 4096; step /= 2)
      while (::posix_fallocate(filler.get(), size, step) == 0) size += step;
  }
  ~OverfullDisk() { unmount(top_); }
  const std::string& path() const { return top_; }

 private:
  TestPlace below_;
  std::string top_;
};

/// What comes of a function under a kernel that tells of what was not written where each file is asked alone.
std::string where_nothing_is_written(const std::function<std::string()>& f) {
  return run_confined(
             [&] {
               tell_old_version();
               answer_call(SYS_sync_file_range, EIO);
               return f();
             },
             {.stack_bytes = 8 << 20})
      .text;
}

}  // namespace

TEST_CASE("that a disk did not take what was written is found where syncfs does not tell") {
  OverfullDisk disk;
  Dir dir = Dir::open(disk.path()).make_path("layer/deep", 0755);
  dir.write_new("file", std::string(16 << 20, 'x'), 0644);
  auto ask = [&] {
    return run_confined([&] {
             tell_old_version();
             require_written(Dir::open(disk.path() + "/layer"));
             return std::string("written");
           })
        .text;
  };
  std::string told = "threw: cannot write `" + disk.path() + "/layer/deep/file`: ";
  CHECK(ask().starts_with(told));
  CHECK(ask() == "written");  // an error is told once
  // Where it was written back long before.
  dir.write_new("other", std::string(16 << 20, 'x'), 0644);
  try {
    Dir::open(disk.path()).sync_fs();
  } catch (const SystemError&) {
  }
  CHECK(ask().starts_with("threw: cannot write `" + disk.path() + "/layer/deep/other`: "));
  require_written(Dir::open(disk.path()));  // syncfs tells, or this test's kernel is old and all was told
}

TEST_CASE("what a migration makes is asked for") {
  SUBCASE("layers") {
    SampleHost host(filesystem("ext4"));
    std::string said = where_nothing_is_written([&] {
      Run run = host.run({"migrate", "--to", "vfs", "--yes"});
      return std::to_string(run.code) + " " + run.err;
    });
    CHECK_MESSAGE(has(said, "cannot write `"), said);
    CHECK_MESSAGE(has(said, "/home/dir/"), said);
    CHECK(host.state() == MigrationState::staging);
    check_done(host.run({"migrate", "--resume", "--yes"}));
    CHECK(host.losses(DriverKind::vfs) == "");
  }
  SUBCASE("records") {
    StoreFixture fixture;
    HostTree folder;
    std::string said = where_nothing_is_written([&] {
      stage_records(Dir::open(fixture.tree.root()), fixture.read(), DriverKind::vfs,
                    Dir::open(folder.root()));
      return std::string("staged");
    });
    CHECK_MESSAGE(said.starts_with("threw: cannot write `" + folder.root() + "/image/"), said);
  }
  SUBCASE("the build cache's records") {
    HostTree tree{{"/buildkit/cache.db", "1234"}}, folder;
    std::string said = where_nothing_is_written([&] {
      stage_build_records(Dir::open(tree.root()), {}, Dir::open(folder.root()));
      return std::string("staged");
    });
    CHECK_MESSAGE(said.starts_with("threw: cannot write `" + folder.root() + "/buildkit/cache.db`"), said);
  }
  SUBCASE("the records that a rollback makes, where the engine has removed layers") {
    SampleHost host(filesystem("ext4"));
    check_done(host.run(move_to(DriverKind::fuse_overlayfs)));
    remove_images(host, DriverKind::fuse_overlayfs);
    auto roll_back = [&] {
      Run run = host.run({"rollback", "--yes"});
      return std::to_string(run.code) + " " + run.err;
    };
    std::string said = where_nothing_is_written(roll_back);
    CHECK_MESSAGE(has(said, "cannot write `"), said);
    check_done(host.run({"rollback", "--yes"}));
  }
}
