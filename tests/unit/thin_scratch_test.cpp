#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/sys/error.hpp"
#include "drivers/thin_scratch.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

constexpr std::uint64_t kBlockBytes = 64 << 10;

/// Data of so many blocks, each filled with its own letter.
Fd data_file(const HostTree& tree, std::size_t blocks) {
  std::string text;
  for (std::size_t i = 0; i < blocks; ++i) text += std::string(kBlockBytes, static_cast<char>('a' + i));
  tree.write("/data", text);
  return Fd(::open(tree.path("/data").c_str(), O_RDONLY | O_CLOEXEC));
}

/// The file block by block: its letter, '.' for zeros, '?' for anything mixed.
std::string letters(const ThinScratch::Copy& copy) {
  struct stat st;
  REQUIRE(::fstat(copy.file.get(), &st) == 0);
  std::string result, block(kBlockBytes, '\0');
  for (off_t at = 0; at < st.st_size; at += static_cast<off_t>(kBlockBytes)) {
    REQUIRE(::pread(copy.file.get(), block.data(), block.size(), at) == static_cast<ssize_t>(block.size()));
    bool even = block.find_first_not_of(block[0]) == std::string::npos;
    result += !even ? '?' : block[0] == '\0' ? '.' : block[0];
  }
  return result;
}

ino_t inode_of(const ThinScratch::Copy& copy) {
  struct stat st;
  REQUIRE(::fstat(copy.file.get(), &st) == 0);
  return st.st_ino;
}

}  // namespace

TEST_CASE("what differs between two thin devices") {
  std::vector<ThinExtent> parent{{0, 0, 4}, {10, 4, 2}}, child{{0, 0, 1}, {1, 7, 1}, {2, 2, 2}, {12, 8, 1}};
  ThinDifference difference = thin_difference(parent, child);
  CHECK(difference.copied == std::vector<ThinExtent>{{1, 7, 1}, {12, 8, 1}});
  CHECK(difference.cleared == std::vector<ThinExtent>{{10, 0, 2}});
  CHECK(difference.copied_blocks() == 2);
  CHECK(thin_difference(child, child).copied.empty());
  CHECK(thin_difference({}, parent).copied == parent);
  CHECK(thin_difference(parent, {}).cleared.size() == 2);
}

TEST_CASE("a scratch copy holds the device, and the next one is made of it") {
  HostTree tree;
  ThinScratch scratch(tree.root(), data_file(tree, 8), kBlockBytes);
  auto first = scratch.make({{0, 2, 2}, {3, 0, 1}}, 5 * kBlockBytes);
  CHECK(letters(first) == "cd.a.");
  ino_t inode = inode_of(first);

  SUBCASE("while the first is used, the second is another file") {
    auto second = scratch.make({{0, 2, 2}, {3, 0, 1}}, 5 * kBlockBytes);
    CHECK(letters(second) == "cd.a.");
    CHECK(inode_of(second) != inode);
  }
  SUBCASE("blocks are exchanged, cleared, and cut off") {
    scratch.give_back(std::move(first));
    auto second = scratch.make({{0, 2, 1}, {4, 7, 1}}, 6 * kBlockBytes);
    CHECK(letters(second) == "c...h.");
    CHECK(inode_of(second) == inode);
    scratch.give_back(std::move(second));
    auto third = scratch.make({{0, 2, 1}}, 2 * kBlockBytes);
    CHECK(letters(third) == "c.");
    scratch.give_back(std::move(third));
    CHECK(letters(scratch.make({{0, 2, 1}}, 6 * kBlockBytes)) == "c.....");
  }
  SUBCASE("a size that is no whole number of blocks") {
    scratch.give_back(std::move(first));
    auto second = scratch.make({{0, 0, 4}}, 2 * kBlockBytes + 512);
    CHECK(letters(second) == "abc");
    scratch.give_back(std::move(second));
    CHECK(letters(scratch.make({{0, 0, 2}}, 4 * kBlockBytes)) == "ab..");
  }
  CHECK(tree.names("/") == std::vector<std::string>{"data"});
}

TEST_CASE("data that ends before a block that is named") {
  HostTree tree;
  ThinScratch scratch(tree.root(), data_file(tree, 2), kBlockBytes);
  CHECK_THROWS_WITH_AS(scratch.make({{0, 1, 4}}, 4 * kBlockBytes), doctest::Contains("ends before a block"),
                       Error);
}
