// A data root's disk without a free block between a switch and what ends it.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <filesystem>
#include <fstream>

#include "tests/conformance/move_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// Takes every free block of the filesystem that a folder is on, until this ends.
class FullDisk {
 public:
  explicit FullDisk(const std::string& folder)
      : file_(Dir::open(folder).open_file("filler", O_RDWR | O_CREAT)) {
    off_t size = 0;
    for (off_t step = off_t(1) << 32; step >= 512; step /= 2)
      while (::posix_fallocate(file_.get(), size, step) == 0) size += step;
    Dir::open(folder).unlink("filler");
  }

 private:
  Fd file_;
};

/// Makes a migration's journal so long that its next line takes another block.
void fill_block_of_journal(const std::string& root) {
  for (const auto& folder : std::filesystem::directory_iterator(root + "/drover")) {
    std::ofstream journal(folder.path() / "journal", std::ios::app);
    constexpr std::size_t kBlock = 4096;
    const std::string before = R"({"time":"","event":"step","name":")", after = "\"}\n";
    std::size_t size = std::filesystem::file_size(folder.path() / "journal");
    std::size_t whole = (size + before.size() + after.size() + kBlock) / kBlock * kBlock - 8;
    journal << before << std::string(whole - size - before.size() - after.size(), 'x') << after;
  }
}

}  // namespace

TEST_CASE("a data root's disk that is full by then keeps neither a rollback nor a commit") {
  for (const char* on : {"ext4", "xfs"})
    for (const std::string verb : {"rollback", "commit"}) {
      CAPTURE(std::string(on) + " " + verb);
      SampleHost host(filesystem(on));
      // Which is written anew by both ways.
      TestFolder elsewhere(filesystem(std::string(on) == "xfs" ? "ext4" : "xfs"));
      Dir::open(elsewhere.path()).write_new("daemon.json", host.config(), 0600);
      auto run = [&](std::vector<std::string> words) {
        return run_on(host.root(), elsewhere.path() + "/daemon.json", std::move(words), nullptr);
      };
      check_done(run({"migrate", "--to", "vfs", "--yes"}));
      fill_block_of_journal(host.root());
      FullDisk full(host.root());
      CHECK_THROWS(Dir::open(host.root()).write_new("more", std::string(1 << 16, 'x'), 0644));
      Dir::open(host.root()).remove_tree("more");
      check_done(run({verb, "--yes"}));
      CHECK_FALSE(host.exists("drover"));
      if (verb == "rollback")
        CHECK(host.damage() == "");
      else
        CHECK(host.losses(DriverKind::vfs) == "");
    }
}

TEST_CASE("nor does a new root's disk keep the way back to the old root") {
  MoveHost move("xfs");
  check_done(move.migrate());
  fill_block_of_journal(move.root);
  FullDisk full(move.root);
  check_done(move.run_by_config({"rollback", "--yes"}));
  CHECK_FALSE(move.host.exists("drover"));
  CHECK(move.host.damage() == "");
}
