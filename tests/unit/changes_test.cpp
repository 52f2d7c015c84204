// The two readers and the two writers on what needs no root: plain trees, and deltas as aufs spells them.
#include "migrate/changes.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "drivers/sys/error.hpp"
#include "drivers/view.hpp"
#include "migrate/compare_views.hpp"
#include "migrate/layer_writer.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;
namespace fs = std::filesystem;

namespace {

/// Writes down what it is told: "+" put, "-" remove, ">" enter, "!" enter hiding the past.
class Recorder : public ChangeSink {
 public:
  void enter(const Node& node, bool hides_past) override {
    if (node.name.empty()) {
      path_.clear();
      if (hides_past) told_.push_back("!");
      return;
    }
    path_.push_back(std::string(node.name));
    told_.push_back((hides_past ? "!" : ">") + path(""));
  }
  void leave() override {
    if (!path_.empty()) path_.pop_back();
  }
  void put(const Node& node) override { told_.push_back("+" + path(node.name)); }
  void remove(std::string_view name) override { told_.push_back("-" + path(name)); }

  /// The order within a folder is free, and all may come a second time: sorted, each once.
  std::vector<std::string> told() const {
    std::set<std::string> each(told_.begin(), told_.end());
    return {each.begin(), each.end()};
  }

 private:
  std::string path(std::string_view name) const {
    std::string text;
    for (const std::string& part : path_) text += (text.empty() ? "" : "/") + part;
    if (!name.empty()) text += (text.empty() ? "" : "/") + std::string(name);
    return text;
  }
  std::vector<std::string> path_, told_;
};

using Told = std::vector<std::string>;

View plain_view(const Dir& dir) {
  std::vector<OpenLayer> layers;
  layers.push_back({dir.clone(), nullptr});
  return View(std::move(layers), Marks::none);
}

void read_trees(const Dir& now, const Dir* past, const ViewComparison& comparison, ChangeSink& sink) {
  View after = plain_view(now);
  std::optional<View> before;
  if (past) before = plain_view(*past);
  read_views(after, past ? &*before : nullptr, comparison, sink);
}

/// A parent's tree and a layer's tree that starts as a copy of it.
struct Trees {
  HostTree tree{{"/before/file", "1"}, {"/before/folder/inside", "2"}, {"/before/folder/other", "3"}};
  Trees() { copy(); }
  void copy() const {
    fs::remove_all(tree.path("/after"));
    fs::copy(tree.path("/before"), tree.path("/after"),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (const auto& entry : fs::recursive_directory_iterator(tree.path("/before")))
      like(entry.path().lexically_relative(tree.path("/before")).string());
    like("");
  }
  /// Gives the layer's entry the times of its parent's.
  void like(const std::string& path) const {
    struct stat st {};
    REQUIRE(::lstat(tree.path("/before/" + path).c_str(), &st) == 0);
    const timespec times[2] = {st.st_atim, st.st_mtim};
    REQUIRE(::utimensat(AT_FDCWD, tree.path("/after/" + path).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  }
  Dir before() const { return Dir::open(tree.path("/before")); }
  Dir after() const { return Dir::open(tree.path("/after")); }
  Told told(const ViewComparison& comparison = {}) const {
    Recorder recorder;
    Dir parent = before();
    read_trees(after(), &parent, comparison, recorder);
    return recorder.told();
  }
};

std::string differences(const View& a, Marks marks_a, const View& b, Marks marks_b) {
  std::string text;
  for (const std::string& one : compare_views({a, marks_a}, {b, marks_b}, true).first) text += one + "\n";
  return text;
}

}  // namespace

TEST_CASE("a tree that is its parent's has no changes; without a parent all is new") {
  Trees trees;
  CHECK(trees.told() == Told{});
  Recorder recorder;
  read_trees(trees.after(), nullptr, {}, recorder);
  CHECK(recorder.told() == Told{"+file", "+folder/inside", "+folder/other", ">folder"});
}

TEST_CASE("new, gone and replaced entries of a tree are told") {
  Trees trees;
  SUBCASE("a new file") {
    trees.tree.write("/after/folder/new", "");
    trees.like("folder");
    CHECK(trees.told() == Told{"+folder/new", ">folder"});
  }
  SUBCASE("a file gone") {
    fs::remove(trees.tree.path("/after/folder/inside"));
    trees.like("folder");
    CHECK(trees.told() == Told{"-folder/inside", ">folder"});
  }
  SUBCASE("a folder gone") {
    fs::remove_all(trees.tree.path("/after/folder"));
    CHECK(trees.told() == Told{"-folder"});
  }
  SUBCASE("a folder for a file") {
    fs::remove(trees.tree.path("/after/file"));
    trees.tree.write("/after/file/x", "");
    CHECK(trees.told() == Told{"!file", "+file/x"});
  }
  SUBCASE("a file for a folder") {
    fs::remove_all(trees.tree.path("/after/folder"));
    trees.tree.write("/after/folder", "");
    CHECK(trees.told() == Told{"+folder"});
  }
  SUBCASE("a symlink's target") {
    fs::create_symlink("one", trees.tree.path("/before/link"));
    trees.copy();
    CHECK(trees.told() == Told{});
    fs::remove(trees.tree.path("/after/link"));
    fs::create_symlink("two", trees.tree.path("/after/link"));
    trees.like("link");
    CHECK(trees.told() == Told{"+link"});
  }
  SUBCASE("a folder's mode") {
    fs::permissions(trees.tree.path("/after/folder"), fs::perms::owner_all);
    CHECK(trees.told() == Told{">folder"});
  }
}

TEST_CASE("forged times hide a change only from who does not look at the content") {
  Trees trees;
  trees.tree.write("/after/file", "X");
  trees.like("file");
  CHECK(trees.told() == Told{});
  CHECK(trees.told({.content = true, .recorded = nullptr}) == Told{"+file"});
}

TEST_CASE("what a record names belongs to the layer though it is unchanged") {
  Trees trees;
  auto recorded = [](const std::string& path) { return path == "folder/inside" || path == "folder"; };
  CHECK(trees.told({.content = false, .recorded = recorded}) == Told{"+folder/inside", ">folder"});
}

TEST_CASE("where one name of a file is new, all its names are put") {
  Trees trees;
  auto link = [&](const std::string& from, const std::string& to) {
    fs::create_hard_link(trees.tree.path("/after/" + from), trees.tree.path("/after/" + to));
  };
  SUBCASE("a new name of an old file") {
    link("folder/inside", "name");
    CHECK(trees.told() == Told{"+folder/inside", "+name", ">folder"});
  }
  SUBCASE("the new name comes last") {
    link("file", "zzz");
    CHECK(trees.told() == Told{"+file", "+zzz"});
  }
  SUBCASE("two old files are one now") {
    fs::remove(trees.tree.path("/after/folder/other"));
    trees.tree.write("/after/folder/inside", "3");
    link("folder/inside", "folder/other");
    trees.like("folder");
    CHECK(trees.told() == Told{"+folder/inside", "+folder/other", ">folder"});
  }
}

TEST_CASE("changes that are read from a tree make the same tree elsewhere, and the same delta") {
  Trees trees;
  fs::create_hard_link(trees.tree.path("/after/folder/inside"), trees.tree.path("/after/another name"));
  fs::remove(trees.tree.path("/after/file"));
  trees.tree.write("/after/file/now a folder", "x");
  fs::remove(trees.tree.path("/after/folder/other"));
  trees.tree.write("/after/new/deep/er", "y");
  fs::create_symlink("nowhere", trees.tree.path("/after/link"));
  Dir parent = trees.before();
  ViewComparison comparison{Marks::none, true, nullptr};

  HostTree target;
  fs::copy(trees.tree.path("/before"), target.path("/tree"), fs::copy_options::recursive);
  Dir tree = Dir::open(target.path("/tree"));
  TreeWriter tree_writer(tree, Marks::none, false);
  read_trees(trees.after(), &parent, comparison, tree_writer);
  // What did not change was copied by this test, without its times.
  ViewDifferences found =
      compare_views({plain_view(trees.after()), Marks::none}, {plain_view(tree), Marks::none}, true);
  CHECK(found.none());

  fs::create_directory(target.path("/delta"));
  std::vector<OpenLayer> layers;
  layers.push_back({Dir::open(target.path("/delta")), nullptr});
  layers.push_back({trees.before(), nullptr});
  DeltaWriter delta_writer(layers[0].root, Marks::none, Marks::aufs, false);
  read_trees(trees.after(), &parent, comparison, delta_writer);
  CHECK(fs::exists(target.path("/delta/folder/.wh.other")));
  View delta(std::move(layers), Marks::aufs);
  CHECK(differences(plain_view(trees.after()), Marks::none, delta, Marks::aufs) == "");
  CHECK(delta_writer.count().hidden == 1);
}

TEST_CASE("a delta is read with its marks") {
  HostTree tree({{"/.wh.gone", ""},
                 {"/.wh..wh.plnk", ""},
                 {"/.wh.both", ""},
                 {"/both/new", ""},
                 {"/.wh.file", ""},
                 {"/file", "again"},
                 {"/opaque/.wh..wh..opq", ""},
                 {"/opaque/new", ""},
                 {"/plain/.wh.below", ""}});
  Recorder recorder;
  read_delta(Dir::open(tree.root()), Marks::aufs, recorder);
  CHECK(recorder.told() ==
        Told{"!both", "!opaque", "+both/new", "+file", "+opaque/new", "-gone", "-plain/below", ">plain"});
}

TEST_CASE("a delta becomes a tree") {
  HostTree tree({{"/base/gone", "1"},
                 {"/base/both/old", "2"},
                 {"/base/opaque/old", "3"},
                 {"/base/plain/below", "4"},
                 {"/base/plain/kept", "5"},
                 {"/base/was-file", "6"},
                 {"/base/was-folder/x", "7"},
                 {"/top/.wh.gone", ""},
                 {"/top/.wh.nothing", ""},
                 {"/top/.wh.both", ""},
                 {"/top/both/new", ""},
                 {"/top/opaque/.wh..wh..opq", ""},
                 {"/top/opaque/new", ""},
                 {"/top/plain/.wh.below", ""},
                 {"/top/was-file/now", ""},
                 {"/top/was-folder", "now a file"}});
  std::vector<OpenLayer> layers;
  for (const char* name : {"/top", "/base"}) layers.push_back({Dir::open(tree.path(name)), nullptr});
  View delta(std::move(layers), Marks::aufs);
  HostTree target;
  Dir dir = Dir::open(target.root());
  for (const char* name : {"/base", "/top"}) {
    TreeWriter writer(dir, Marks::aufs, false);
    read_delta(Dir::open(tree.path(name)), Marks::aufs, writer);
  }
  CHECK(differences(delta, Marks::aufs, plain_view(dir), Marks::none) == "");
  CHECK(target.names("/") == std::vector<std::string>{"both", "opaque", "plain", "was-file", "was-folder"});
  CHECK(target.names("/opaque") == std::vector<std::string>{"new"});
  CHECK(target.names("/plain") == std::vector<std::string>{"kept"});
}

TEST_CASE("a new name of an old file is linked to it, whichever comes first") {
  for (const char* added : {"/after/a-new", "/after/z-new"})
    for (bool as_delta : {true, false}) {
      CAPTURE(added);
      CAPTURE(as_delta);
      Trees trees;
      fs::create_hard_link(trees.tree.path("/after/file"), trees.tree.path(added));
      HostTree target;
      if (!as_delta) fs::copy(trees.tree.path("/before"), target.root(), fs::copy_options::recursive);
      Dir dir = Dir::open(target.root()), before = trees.before();
      std::unique_ptr<LayerWriter> writer;
      if (as_delta)
        writer = std::make_unique<DeltaWriter>(dir, Marks::none, Marks::aufs, false);
      else
        writer = std::make_unique<TreeWriter>(dir, Marks::none, false);
      read_trees(trees.after(), &before, {}, *writer);
      std::string name = fs::path(added).filename();
      CHECK(fs::equivalent(target.path("/file"), target.path("/" + name)));
      CHECK(fs::hard_link_count(target.path("/file")) == 2);
    }
}

TEST_CASE("one delta's spelling becomes another's, and content that would be a mark is refused") {
  HostTree tree({{"/layer/.wh.gone", ""}, {"/layer/folder/.wh..wh..opq", ""}, {"/layer/file", "x"}});
  HostTree target;
  Dir dir = Dir::open(target.root());
  DeltaWriter writer(dir, Marks::aufs, Marks::aufs, true);
  read_delta(Dir::open(tree.path("/layer")), Marks::aufs, writer);
  CHECK(target.names("/") == std::vector<std::string>{".wh.gone", "file", "folder"});
  CHECK(target.names("/folder") == std::vector<std::string>{".wh..wh..opq"});
  CHECK(writer.count().linked == 1);
  CHECK(fs::equivalent(target.path("/file"), tree.path("/layer/file")));

  HostTree odd({{"/layer/.wh.content", "not a mark here"}});
  HostTree refused;
  Dir into = Dir::open(refused.root());
  DeltaWriter strict(into, Marks::none, Marks::aufs, false);
  CHECK_THROWS_AS(read_trees(Dir::open(odd.path("/layer")), nullptr, {}, strict), Error);
}

TEST_CASE("in a folder that shows nothing of the past no mark is written") {
  HostTree tree({{"/new/.wh..wh..opq", ""},
                 {"/new/.wh..opq", ""},
                 {"/new/.wh.x", ""},
                 {"/new/below/.wh.y", ""},
                 {"/.wh.z", ""}});
  HostTree target;
  Dir dir = Dir::open(target.root());
  DeltaWriter writer(dir, Marks::aufs, Marks::aufs, false);
  read_delta(Dir::open(tree.root()), Marks::aufs, writer);
  CHECK(target.names("/") == std::vector<std::string>{".wh.z", "new"});
  CHECK(target.names("/new") == std::vector<std::string>{".wh..wh..opq", "below"});
  CHECK(target.names("/new/below").empty());
  CHECK(writer.count().hidden == 1);
}

TEST_CASE("a comparison finds each kind of difference") {
  struct Difference {
    std::string says;
    std::function<void(const Trees&)> make;
  };
  const Difference all[] = {
      {"`file`: is missing in the target",
       [](const Trees& t) {
         fs::remove(t.tree.path("/after/file"));
         t.like("");
       }},
      {"`new`: is in the target only",
       [](const Trees& t) {
         t.tree.write("/after/new", "");
         t.like("");
       }},
      {"`file`: content differs",
       [](const Trees& t) {
         t.tree.write("/after/file", "X");
         t.like("file");
       }},
      {"`file`: size 1 became 2",
       [](const Trees& t) {
         t.tree.write("/after/file", "XX");
         t.like("file");
       }},
      {"`folder`: type and mode",
       [](const Trees& t) { fs::permissions(t.tree.path("/after/folder"), fs::perms::owner_all); }},
      {"`folder/inside`: modification time",
       [](const Trees& t) {
         fs::last_write_time(t.tree.path("/after/folder/inside"), fs::file_time_type::clock::now());
       }},
      {"`/`: modification time",
       [](const Trees& t) { fs::last_write_time(t.tree.path("/after"), fs::file_time_type::clock::now()); }},
  };
  for (const Difference& difference : all) {
    CAPTURE(difference.says);
    Trees trees;
    difference.make(trees);
    std::string found =
        differences(plain_view(trees.before()), Marks::none, plain_view(trees.after()), Marks::none);
    CHECK_MESSAGE(found.starts_with(difference.says), found);
    CHECK(std::count(found.begin(), found.end(), '\n') == 1);
  }
}

TEST_CASE("a comparison sees which names are one file") {
  HostTree tree({{"/a/1", "x"}, {"/a/3", "x"}, {"/b/1", "x"}, {"/b/2", "x"}});
  fs::create_hard_link(tree.path("/a/1"), tree.path("/a/2"));
  fs::create_hard_link(tree.path("/b/2"), tree.path("/b/3"));
  for (const char* name : {"/a/1", "/a/3", "/b/1", "/b/2", "/a", "/b"})
    fs::last_write_time(tree.path(name), fs::file_time_type{});
  std::string found = differences(plain_view(Dir::open(tree.path("/a"))), Marks::none,
                                  plain_view(Dir::open(tree.path("/b"))), Marks::none);
  CHECK(found == "`2`: hard links differ\n`3`: hard links differ\n");
}
