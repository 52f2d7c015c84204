#include "drivers/sys/trail.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <optional>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

struct TrailLevel {
  TrailDir dir;
  void let_go(const TrailLevel&) { dir.let_go(); }
  void reach_from(const TrailLevel& below) { dir.reach_from(below.dir); }
};

std::size_t open_levels(Trail<TrailLevel>& trail) {
  std::size_t open = 0;
  for (std::size_t i = 0; i < trail.size(); ++i) open += trail[i].dir.is_open();
  return open;
}

}  // namespace

TEST_CASE("a trail has the deepest directories open, and reaches the others again") {
  HostTree tree;
  Dir top = Dir::open(tree.root());
  constexpr int kDepth = 300;
  Trail<TrailLevel> trail;
  trail.push({TrailDir(top.clone())});
  std::vector<ino_t> inodes{top.stat().st_ino};
  for (int i = 0; i < kDepth; ++i) {
    trail.back().dir->make_dir("d", 0755);
    trail.push({TrailDir(trail.back().dir->sub("d"))});
    inodes.push_back(trail.back().dir->stat().st_ino);
    CHECK(open_levels(trail) <= 4);
  }
  std::string lowest = trail.back().dir->path();
  for (int i = kDepth; i > 0; --i) {
    CHECK(trail.back().dir->stat().st_ino == inodes[static_cast<std::size_t>(i)]);
    trail.pop();
    REQUIRE(trail.back().dir.is_open());
  }
  CHECK(trail.back().dir->stat().st_ino == inodes[0]);
  CHECK(trail.back().dir->path() == tree.root());
  CHECK(lowest.starts_with(tree.root()));
}

TEST_CASE("a directory that was moved away under a walk is an error, and what is around it is not entered") {
  HostTree tree;
  Dir top = Dir::open(tree.root());
  Dir aside = top.make_path("aside", 0755);
  top.make_path("a/b/c/d/e/f", 0755);
  Trail<TrailLevel> trail;
  trail.push({TrailDir(top.clone())});
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) trail.push({TrailDir(trail.back().dir->sub(name))});
  // "b" is closed by now.
  std::string how;
  SUBCASE("moved") {
    top.sub("a").sub("b").rename("c", aside, "c");
    how = "moved away";
  }
  SUBCASE("removed") {
    top.sub("a").sub("b").remove_tree("c");
    how = "removed";
  }
  std::string what, hint;
  try {
    while (trail.size() > 1) trail.pop();
  } catch (const Error& e) {
    what = e.what();
    hint = e.hint();
  }
  CHECK(what.find("changed while it was read: a directory in it was " + how) != std::string::npos);
  CHECK(hint == "an engine is at work there, or another program: stop it, or try again");
}

TEST_CASE("long paths are shortened for messages, and only they") {
  std::string plain = "/var/lib/docker/overlay2/x";
  CHECK(shortened_path(plain) == plain);
  CHECK_FALSE(is_shortened(plain));
  CHECK(path_above(plain) == "/var/lib/docker/overlay2");
  std::string deep = "/begin";
  for (int i = 0; i < 20'000; ++i) deep = deep.size() > 5000 ? shortened_path(deep + "/d") : deep + "/d";
  CHECK(shortened_path(deep + "/end").size() < 1000);
  CHECK(shortened_path(deep + "/end").starts_with("/begin/d/"));
  CHECK(shortened_path(deep + "/end").ends_with("/d/end"));
  CHECK(is_shortened(shortened_path(deep + "/end")));
  std::string one(3000, 'n');
  CHECK(shortened_path("/" + one).size() < 1000);
}

TEST_CASE("only a regular file is opened as one") {
  HostTree tree;
  Dir top = Dir::open(tree.root());
  top.write_new("file", "text", 0644);
  top.make_dir("dir", 0755);
  top.make_symlink("link", "file");
  top.make_node("fifo", S_IFIFO | 0644, 0);
  Fd events(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  REQUIRE(::inotify_add_watch(events.get(), (tree.root() + "/fifo").c_str(), IN_OPEN) >= 0);
  CHECK(top.try_open_regular("file").has_value());
  CHECK_FALSE(top.try_open_regular("none").has_value());
  for (const char* name : {"dir", "link", "fifo"}) {
    CAPTURE(std::string(name));
    CHECK_THROWS_AS(top.try_open_regular(name), Error);
    CHECK_THROWS_AS(top.open_regular(name), Error);
    CHECK_THROWS_AS(top.try_read(name), Error);
  }
  CHECK_THROWS_AS(top.open_regular("none"), SystemError);
  char event[512];
  CHECK(::read(events.get(), event, sizeof event) < 0);  // nobody has opened it
}
