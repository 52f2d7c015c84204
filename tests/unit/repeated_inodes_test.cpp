// Which inodes a walk remembers: a hard link that is forgotten becomes a second file.
#include "drivers/repeated_inodes.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include "drivers/clone_tree.hpp"
#include "migrate/run_tasks.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

ino_t inode_of(const Dir& dir, const char* name) { return dir.stat(name).st_ino; }

void link_to(const HostTree& tree, const char* from, const char* to) {
  REQUIRE(::link(tree.path(from).c_str(), tree.path(to).c_str()) == 0);
}

}  // namespace

TEST_CASE("an inode is repeated where it has several names in the trees together") {
  HostTree tree;
  for (const char* name : {"/a/one", "/a/deep/er/twice", "/b/across", "/b/single", "/c/x"})
    tree.write(name, "content");
  link_to(tree, "/a/deep/er/twice", "/a/twice-too");
  link_to(tree, "/b/across", "/a/across-too");
  link_to(tree, "/b/single", "/c/elsewhere");
  Dir a = Dir::open(tree.path("/a")), b = Dir::open(tree.path("/b"));
  a.make_symlink("link-to-b", "../b");  // is not followed
  auto both = RepeatedInodes::read({&a, &b});
  REQUIRE(both);
  CHECK(both->contains(inode_of(a, "twice-too")));
  CHECK(both->contains(inode_of(a, "across-too")));
  CHECK_FALSE(both->contains(inode_of(a, "one")));
  CHECK_FALSE(both->contains(inode_of(b, "single")));
  auto alone = RepeatedInodes::read({&a});
  REQUIRE(alone);
  CHECK(alone->contains(inode_of(a, "twice-too")));
  CHECK_FALSE(alone->contains(inode_of(a, "across-too")));
}

TEST_CASE("where directories may tell other inodes nothing is told") {
  Dir proc = Dir::open("/proc/self/fdinfo");
  CHECK_FALSE(RepeatedInodes::read({&proc}));
}

TEST_CASE("all are remembered while they are few, and then those that are repeated") {
  HostTree tree;
  for (const char* name : {"/a/one", "/a/two"}) tree.write(name, "content");
  link_to(tree, "/a/one", "/a/one-too");
  Dir a = Dir::open(tree.path("/a"));
  int looks = 0;
  LinkMemory memory([&] {
    ++looks;
    return RepeatedInodes::read({&a});
  });
  CHECK_FALSE(memory.is_to_forget(1000));
  CHECK(memory.wants(inode_of(a, "two")));
  CHECK(looks == 0);
  CHECK(memory.is_to_forget(100000));
  CHECK_FALSE(memory.wants(inode_of(a, "two")));
  CHECK(memory.wants(inode_of(a, "one")));
  CHECK_FALSE(memory.is_to_forget(100000));
  CHECK(looks == 1);
  LinkMemory for_ever;
  CHECK_FALSE(for_ever.is_to_forget(100000));
  CHECK(for_ever.wants(inode_of(a, "two")));
}

TEST_CASE("the first name of each inode is told, however many there are") {
  HostTree tree;
  for (const char* name : {"/a/one", "/a/two"}) tree.write(name, "content");
  link_to(tree, "/a/one", "/a/one-too");
  Dir a = Dir::open(tree.path("/a"));
  FirstNames names([&] { return RepeatedInodes::read({&a}); });
  const ino_t one = inode_of(a, "one"), two = inode_of(a, "two");
  CHECK(names.is_first(1, one, 2));
  CHECK_FALSE(names.is_first(1, one, 2));
  CHECK(names.is_first(2, one, 2));  // on another device
  // So many that what has one name here is forgotten; the others are not.
  for (ino_t other = 1; other <= 20000; ++other)
    if (other != one && other != two) CHECK(names.is_first(1, other + (ino_t{1} << 40), 2));
  CHECK_FALSE(names.is_first(1, one, 2));
  CHECK(names.is_first(1, two, 2));
  CHECK(names.is_first(1, 1, 1));
  CHECK(names.is_first(1, 1, 1));
}

TEST_CASE("a tree with more linked files than are remembered keeps its hard links") {
  constexpr int kFiles = 20000;
  HostTree tree;
  tree.write("/from/group/first", "content");
  tree.write("/elsewhere/x", "");
  Dir from = Dir::open(tree.path("/from")), elsewhere = Dir::open(tree.path("/elsewhere"));
  for (int i = 0; i < kFiles; ++i) {  // each has a second name, but in another tree
    const std::string name = std::to_string(i);
    if (i % 1000 == 0) from.make_dir("d" + name, 0755);
    Dir folder = from.sub("d" + std::to_string(i / 1000 * 1000));
    folder.write_new(name, "", 0644);
    REQUIRE(::linkat(folder.fd(), name.c_str(), elsewhere.fd(), name.c_str(), 0) == 0);
  }
  for (int i = 0; i < kFiles; i += 1000) {
    const std::string late = "/from/d" + std::to_string(i) + "/late";
    link_to(tree, "/from/group/first", late.c_str());
  }
  for (unsigned threads : {1U, 3U}) {  // others help where there are any
    CAPTURE(threads);
    const std::string name = "/to" + std::to_string(threads);
    tree.write(name + "/x", "");
    Dir to = Dir::open(tree.path(name));
    TransferCount count;
    run_tasks({{[&] { count = clone_tree(from, to, false); }, {}}}, threads);
    CHECK(count.copied == kFiles + 1);
    CHECK(to.sub("group").stat("first").st_nlink == kFiles / 1000 + 1);
    for (int i = 0; i < kFiles; i += 1000)
      CHECK(inode_of(to.sub("d" + std::to_string(i)), "late") == inode_of(to.sub("group"), "first"));
  }
}
