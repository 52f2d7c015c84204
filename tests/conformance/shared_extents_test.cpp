// When two files need not be read to know that they are alike: a "yes" that is not true would pass off as
// proven what is not.
#include "drivers/sys/shared_extents.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>

#include "drivers/sys/dir.hpp"
#include "tests/conformance/place.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr std::size_t kSize = 1 << 20;

struct Files {
  explicit Files(const std::vector<std::string>& mkfs) : place(mkfs) {
    REQUIRE_MESSAGE(place.error.empty(), place.error);
    dir = Dir::open(place.path);
    std::string content;
    for (std::size_t i = 0; content.size() < kSize; ++i) content += std::to_string(i) + "\n";
    content.resize(kSize);
    write("a", content);
  }
  void write(const char* name, const std::string& content) { dir.write_new(name, content, 0644); }
  void copy(const char* name) { write(name, dir.read("a")); }
  void clone(const char* name) {
    Fd from = dir.open_file("a"), to = dir.open_file(name, O_WRONLY | O_CREAT, 0644);
    REQUIRE(::ioctl(to.get(), FICLONE, from.get()) == 0);
  }
  void put(const char* name, std::size_t at, const char* bytes) {
    Fd file = dir.open_file(name, O_WRONLY);
    REQUIRE(::pwrite(file.get(), bytes, 1, static_cast<off_t>(at)) == 1);
  }
  bool same(const char* name) {
    Fd a = dir.open_file("a"), b = dir.open_file(name);
    return SharedExtents().same(a.get(), dir.stat("a"), b.get(), dir.stat(name));
  }
  TestPlace place;
  Dir dir;
};

}  // namespace

TEST_CASE("files that share their extents are told, and no others") {
  const std::vector<std::vector<std::string>> kinds = {{"mkfs.xfs", "-q"}, {"mkfs.btrfs", "-q"}};
  for (const std::vector<std::string>& mkfs : kinds) {
    CAPTURE(mkfs[0]);
    Files files(mkfs);
    files.clone("clone");
    CHECK(files.same("clone"));  // not even written to the disk yet
    files.dir.sync_fs();
    CHECK(files.same("clone"));
    files.copy("copy");
    CHECK_FALSE(files.same("copy"));
    for (std::size_t at : {std::size_t{0}, kSize / 2, kSize - 1}) {
      CAPTURE(at);
      files.clone("changed");
      files.put("changed", at, "!");
      CHECK_FALSE(files.same("changed"));
      files.dir.sync_fs();
      CHECK_FALSE(files.same("changed"));
      files.dir.unlink("changed");
    }
    files.clone("shorter");
    REQUIRE(::truncate((files.place.path + "/shorter").c_str(), kSize / 2) == 0);
    CHECK_FALSE(files.same("shorter"));
    files.clone("longer");  // and as long again, with a hole at its end
    REQUIRE(::truncate((files.place.path + "/longer").c_str(), kSize / 2) == 0);
    REQUIRE(::truncate((files.place.path + "/longer").c_str(), kSize) == 0);
    CHECK_FALSE(files.same("longer"));
  }
}

TEST_CASE("many extents and holes are all looked at") {
  const std::vector<std::vector<std::string>> kinds = {{"mkfs.xfs", "-q"}, {"mkfs.btrfs", "-q"}};
  for (const std::vector<std::string>& mkfs : kinds) {
    CAPTURE(mkfs[0]);
    Files files(mkfs);
    files.dir.unlink("a");
    constexpr std::size_t kStep = 1 << 16, kBlocks = 200;  // more than are asked for at once
    {
      Fd a = files.dir.open_file("a", O_WRONLY | O_CREAT, 0644);
      const std::string block(4096, 'x');
      for (std::size_t i = 0; i < kBlocks; ++i)
        REQUIRE(::pwrite(a.get(), block.data(), block.size(), static_cast<off_t>(i * kStep)) == 4096);
      REQUIRE(::ftruncate(a.get(), kBlocks * kStep) == 0);
    }
    files.clone("clone");
    CHECK(files.same("clone"));
    for (std::size_t i : {std::size_t{0}, std::size_t{63}, std::size_t{64}, std::size_t{130}, kBlocks - 1}) {
      CAPTURE(i);
      files.clone("changed");
      files.put("changed", i * kStep, "!");
      CHECK_FALSE(files.same("changed"));
      files.dir.unlink("changed");
      files.clone("filled");  // where there is a hole
      files.put("filled", i * kStep + kStep / 2, "!");
      CHECK_FALSE(files.same("filled"));
      files.dir.unlink("filled");
    }
  }
}

TEST_CASE("where nothing can be shared nothing is told") {
  Files files({"mkfs.ext4", "-q"});
  files.copy("copy");
  CHECK_FALSE(files.same("copy"));
  CHECK_FALSE(files.same("a"));  // even of itself
}

TEST_CASE("compressed extents are no proof: an address is that of several pieces") {
  Files files({"mkfs.btrfs", "-q"});
  files.dir.unlink("a");
  {
    Fd a = files.dir.open_file("a", O_WRONLY | O_CREAT, 0644);
    files.dir.set_xattr("a", "btrfs.compression", "zstd");
    const std::string zeros(kSize, 'z');
    REQUIRE(::pwrite(a.get(), zeros.data(), zeros.size(), 0) == static_cast<ssize_t>(zeros.size()));
  }
  files.clone("clone");
  CHECK_FALSE(files.same("clone"));
}
