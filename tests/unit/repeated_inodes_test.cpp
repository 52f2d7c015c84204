// Which inodes a walk remembers: a hard link that is forgotten becomes a second file.
#include "drivers/repeated_inodes.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "drivers/clone_tree.hpp"
#include "migrate/changes.hpp"
#include "migrate/compare_views.hpp"
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

namespace {

View view_of(const Dir& dir) {
  std::vector<OpenLayer> layers;
  layers.push_back({dir.clone(), nullptr});
  return View(std::move(layers), Marks::none);
}

std::uint64_t differences_of(const Dir& one, const Dir& other) {
  View a = view_of(one), b = view_of(other);
  return compare_views({a, Marks::none}, {b, Marks::none}, false).count;
}

/// How many names are put.
struct Puts : ChangeSink {
  void enter(const Node&, bool) override {}
  void leave() override {}
  void put(const Node& node) override {
    names.insert(std::to_string(node.at.stat().st_ino) + "/" + std::string(node.name));
  }
  void remove(std::string_view) override { ++removed; }
  std::set<std::string> names;
  int removed = 0;
};

/// A tree of more linked files than are remembered: each has a second name, but in another tree. Besides, one
/// file has a name in each folder, the first one before all the others.
struct ManyLinked {
  static constexpr int kFiles = 20000, kFolders = 20;
  HostTree tree{{"/from/group/first", "content"}, {"/elsewhere/x", ""}};
  Dir from = Dir::open(tree.path("/from"));

  ManyLinked() {
    Dir elsewhere = Dir::open(tree.path("/elsewhere"));
    for (int i = 0; i < kFiles; ++i) {
      const std::string name = std::to_string(i);
      if (i % (kFiles / kFolders) == 0) from.make_dir(folder(i), 0755);
      Dir in = from.sub(folder(i));
      in.write_new(name, "", 0644);
      REQUIRE(::linkat(in.fd(), name.c_str(), elsewhere.fd(), name.c_str(), 0) == 0);
    }
    for (int i = 0; i < kFiles; i += kFiles / kFolders)
      link_to(tree, "/from/group/first", ("/from/" + folder(i) + "/late").c_str());
  }
  static std::string folder(int file) { return "d" + std::to_string(file / (kFiles / kFolders)); }
  Dir make(const std::string& name) const {
    tree.write(name + "/x", "");
    Dir dir = Dir::open(tree.path(name));
    dir.unlink("x");
    return dir;
  }
};

}  // namespace

TEST_CASE("a tree with more linked files than are remembered keeps its hard links") {
  ManyLinked many;
  for (unsigned threads : {1U, 3U}) {  // others help where there are any
    CAPTURE(threads);
    Dir to = many.make("/to" + std::to_string(threads));
    TransferCount count;
    run_tasks({{[&] { count = clone_tree(many.from, to, false); }, {}}}, threads);
    CHECK(count.copied == ManyLinked::kFiles + 1);
    CHECK(to.sub("group").stat("first").st_nlink == ManyLinked::kFolders + 1);
    for (int i = 0; i < ManyLinked::kFolders; ++i)
      CHECK(inode_of(to.sub("d" + std::to_string(i)), "late") == inode_of(to.sub("group"), "first"));
  }
}

TEST_CASE("among more linked files than are remembered a torn group is found, and put whole") {
  ManyLinked many;
  Dir to = many.make("/to");
  clone_tree(many.from, to, false);
  CHECK(differences_of(many.from, to) == 0);
  CHECK(differences_of(to, many.from) == 0);

  Dir folder = to.sub("d7");
  struct stat before = folder.stat();
  folder.unlink("late");
  View now = view_of(many.from), past = view_of(to);
  Puts puts;
  read_views(now, &past, {}, puts);
  CHECK(puts.names.size() == ManyLinked::kFolders + 1);
  CHECK(puts.removed == 0);

  // As large, as old, and a file of its own.
  struct stat first = to.sub("group").stat("first");
  folder.write_new("late", "CONTENT", 0644);
  const timespec file_times[] = {first.st_atim, first.st_mtim},
                 folder_times[] = {before.st_atim, before.st_mtim};
  REQUIRE(::utimensat(folder.fd(), "late", file_times, 0) == 0);
  REQUIRE(::futimens(folder.fd(), folder_times) == 0);
  CHECK(differences_of(many.from, to) == 1);
  CHECK(differences_of(to, many.from) == 1);
}
