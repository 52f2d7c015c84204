// Trees deeper than a process may have files open, a path may be long or a stack may be large: every walk of
// drover's goes through them with 64 descriptors, little stack and bounded memory.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "drivers/clone_tree.hpp"
#include "drivers/remarks.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/archive/changes_writer.hpp"
#include "migrate/compare_views.hpp"
#include "migrate/layer_writer.hpp"
#include "migrate/stage_layer.hpp"
#include "migrate/store_summary.hpp"
#include "migrate/survey.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/layer_script.hpp"
#include "tests/conformance/stacks.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr std::size_t kVeryDeep = 100'000;  ///< 400 MB of paths if each level had its own of 2 bytes a level
constexpr std::size_t kDeep = 1'500;        ///< more than the usual limit of 1024 descriptors
constexpr long kMostBytes = 300 << 20;

/// Makes a chain of directories and gives back the lowest.
Dir make_chain(const Dir& top, std::size_t depth) {
  Dir at = top.clone();
  for (std::size_t i = 0; i < depth; ++i) {
    at.make_dir("d", 0755);
    at = at.sub("d");
  }
  return at;
}

/// The lowest directory of a chain, without a path.
Dir bottom_of(const Dir& top) {
  Dir at = top.clone();
  while (auto below = at.try_sub("d")) at = std::move(*below);
  return at;
}

void check_done_with_little(const Confined& done) {
  CHECK(done.text == "done");
  CHECK(done.peak_bytes < kMostBytes);
}

void require_walk(bool held, const char* what) {
  if (!held) throw Error(what);
}

/// What every walk says of a tree with `depth` levels and two linked files at the bottom.
std::string walk_all(const Dir& top, std::size_t depth) {
  Dir tree = top.sub("tree");
  require_walk(measure_tree(tree).directories == depth, "measure_tree counts otherwise");
  require_walk(disk_usage(tree) > 0, "disk_usage found nothing");
  top.make_dir("copy", 0755);
  Dir copy = top.sub("copy");
  TransferCount count = clone_tree(tree, copy, false);
  require_walk(count.directories == depth && count.copied + count.reflinked == 1,
               "clone_tree counts otherwise");
  require_walk(differences(plain_view(tree), Marks::none, plain_view(copy), Marks::none).empty(),
               "the copy differs");
  // A change at the bottom, and nothing else, is what comparing the two tells; and it is written back.
  bottom_of(copy).write_new("changed", "new", 0644);
  top.make_dir("delta", 0755);
  Dir delta = top.sub("delta");
  {
    View now = plain_view(copy), past = plain_view(tree);
    DeltaWriter writer(delta, Marks::none, Marks::overlay, false);
    ViewComparison comparison;
    comparison.content = true;
    read_views(now, &past, comparison, writer);
    require_walk(writer.count().directories == depth, "the delta has other directories");
  }
  require_walk(bottom_of(delta).exists("changed") && !bottom_of(delta).exists("linked"),
               "the delta is not the change");
  require_walk(remarks_on_hidden(Marks::aufs, delta, "aufs").empty(), "there are remarks");
  top.make_dir("again", 0755);
  Dir again = top.sub("again");
  {
    DeltaWriter writer(again, Marks::overlay, Marks::overlay, false);
    read_delta(delta, Marks::overlay, writer);
  }
  require_walk(differences(plain_view(delta), Marks::overlay, plain_view(again), Marks::overlay).empty(),
               "the delta that was read and written differs");
  std::vector<OpenLayer> stack;
  stack.push_back({delta.clone(), nullptr});
  stack.push_back({tree.clone(), nullptr});
  require_walk(
      differences(View(std::move(stack), Marks::overlay), Marks::overlay, plain_view(copy), Marks::none)
          .empty(),
      "the delta on the tree does not show the copy");
  for (const char* name : {"tree", "copy", "delta", "again"}) {
    top.remove_tree(name);
    require_walk(!top.exists(name), "a tree was not removed");
  }
  return "done";
}

void walk_on(const TestFilesystem& filesystem, std::size_t depth) {
  TestFolder folder(filesystem);
  Dir top = Dir::open(folder.path());
  top.make_dir("tree", 0755);
  {
    Dir bottom = make_chain(top.sub("tree"), depth);
    bottom.write_new("file", "content", 0644);
    REQUIRE(::linkat(bottom.fd(), "file", bottom.fd(), "linked", 0) == 0);
  }
  check_done_with_little(run_confined([&] { return walk_all(top, depth); }));
}

PlannedLayer deep_layer(const char* name, const std::optional<LayerId>& parent, LayerRole role) {
  PlannedLayer layer;
  layer.id = id_of(name);
  layer.parent = parent;
  layer.role = role;
  layer.head = true;
  return layer;
}

}  // namespace

TEST_CASE("every walk goes through a tree of 100,000 levels") {
  for (const char* name : {"xfs", "btrfs"}) {
    if (!filesystem(name).missing.empty()) {
      MESSAGE("SKIP: no deep tree on " << name << ": " << filesystem(name).missing);
      continue;
    }
    CAPTURE(std::string(name));
    bool very_deep = (std::string(name) == "xfs" && !is_sanitized()) ||
                     at_full_size(std::string("3,000 levels on ") + name);
    walk_on(filesystem(name), very_deep ? kVeryDeep : kVeryDeep / 33);
  }
  // A directory takes an inode of a fixed number there.
  if (filesystem("ext4").missing.empty())
    walk_on(filesystem("ext4"), at_full_size("3,000 levels on ext4") ? kVeryDeep / 10 : kVeryDeep / 33);
  else
    MESSAGE("SKIP: no deep tree on ext4: " << filesystem("ext4").missing);
}

TEST_CASE("a chain of long names is removed, and messages about it are short") {
  TestFolder folder(filesystem("ext4"));
  Dir top = Dir::open(folder.path());
  std::string name(255, 'n');
  Dir at = top.clone();
  for (int i = 0; i < 300; ++i) {
    at.make_dir(name, 0755);
    at = at.sub(name);
  }
  CHECK(at.path().size() < 4096);
  CHECK(at.path().starts_with(folder.path()));
  CHECK(is_shortened(at.path()));
  try {
    at.sub("none");
    CHECK(false);
  } catch (const Error& e) {
    CHECK(std::string(e.what()).size() < 4300);
    CHECK(std::string(e.what()).find("/none`") != std::string::npos);
  }
  top.remove_tree(name);
  CHECK_FALSE(top.exists(name));
}

TEST_CASE("deep layers are carried from each driver to each other one") {
  bool all = at_full_size("deep layers on xfs");
  // Still far more than the descriptors there are, in a ninth of the time.
  const std::size_t deep = is_sanitized() ? kDeep / 3 : kDeep;
  for (const Case& from : cases()) {
    if (from.filesystem.name == "xfs" && !all) continue;  // the pairs are those of ext4
    SUBCASE(from.name().c_str()) {
      TestHome source(from.driver, from.filesystem);
      PlannedLayer base = deep_layer("deep base", std::nullopt, LayerRole::image);
      PlannedLayer top = deep_layer("deep top", base.id, LayerRole::writable);
      {
        OpenLayer made = source->create(base.id, std::nullopt, {});
        make_chain(made.root, deep).write_new("below", "base", 0644);
        source->seal(base.id);
        OpenLayer changed = source->create(top.id, base.id, {});
        // In a delta the directories on the way are new ones, and merge with those of the base.
        Dir bottom = source->form_of(top.id) == LayerForm::delta ? make_chain(changed.root, deep)
                                                                 : bottom_of(changed.root);
        bottom.write_new("above", "top", 0644);
        source->seal(top.id);
      }
      for (const Case& to : cases()) {
        if (&to.filesystem != &from.filesystem || &to.driver == &from.driver) continue;
        CAPTURE(to.name());
        TestHome target(to.driver, to.filesystem);
        Plan plan;
        plan.from = source->kind();
        plan.to = target->kind();
        plan.layers = {base, top};
        Inventory inventory{};
        check_done_with_little(run_confined([&] {
          Dir records = Dir::open(source.above());
          LayerStager stager(records, inventory, plan, *source, *target);
          for (const PlannedLayer& layer : plan.layers) stager.stage(layer);
          stager.prove(plan.layers[1], false);
          OpenLayer layer = target->open(plan.layers[1].id);
          require_walk(View(*target, plan.layers[1].id).root().find("d").has_value(), "nothing was carried");
          return std::string("done");
        }));
      }
    }
  }
}

TEST_CASE("an archive holds paths of 64 KiB and refuses longer ones by name") {
  TestFolder folder(filesystem("ext4"));
  Dir top = Dir::open(folder.path());
  make_chain(top, 40'000);
  Confined done = run_confined([&] {
    std::uint64_t bytes = 0;
    ChangesWriter writer(Marks::none, [&](std::string_view text) { bytes += text.size(); });
    read_delta(top, Marks::none, writer);
    return std::string("done");
  });
  CHECK(done.text.find("is too deep for an archive: its path has 65537 bytes") != std::string::npos);
  CHECK(done.text.size() < 2000);
}

TEST_CASE("a file far down behind a long symlink is opened with few descriptors, in each spelling of marks") {
  constexpr std::size_t kLevels = 2'000;  // what a symlink of 4 KB can say
  TestFolder folder(filesystem("ext4"));
  Dir top = Dir::open(folder.path());
  Dir lower = top.make_path("lower", 0755), upper = top.make_path("upper", 0755),
      tree = top.make_path("tree", 0755);
  for (const Dir* dir : {&lower, &tree}) make_chain(*dir, kLevels).write_new("file", "deep", 0644);
  std::string target = "d";
  for (std::size_t i = 1; i < kLevels; ++i) target += "/d";
  for (const Dir* dir : {&upper, &tree}) dir->make_symlink("down", target);
  std::string back = "down/";
  while (back.size() < 3'000) back += "../";
  for (const Dir* dir : {&upper, &tree}) dir->make_symlink("back", back);
  std::string again = "back";
  for (std::size_t ups = (back.size() - 5) / 3; ups > 0; --ups) again += "/d";
  for (Marks marks : {Marks::none, Marks::overlay, Marks::fuse_overlayfs, Marks::aufs}) {
    Confined done = run_confined([&] {
      std::vector<OpenLayer> stack;
      stack.push_back({marks == Marks::none ? tree.clone() : upper.clone(), nullptr});
      if (marks != Marks::none) stack.push_back({lower.clone(), nullptr});
      View view(std::move(stack), marks);
      require_walk(view.open("down/file").has_value(), "the file is not there");
      require_walk(view.open(again + "/file").has_value(), "the file is not there on the way back");
      require_walk(!view.open("down/none").has_value(), "there is another file");
      require_walk(!view.open(std::string(5'000, 'd')).has_value(), "a long name is there");
      return std::string("done");
    });
    check_done_with_little(done);
  }
}
