// Marks of overlay's that no mount of these tests makes: as newer kernels, other options and other programs
// write them. Trusted attributes need root.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "drivers/sys/error.hpp"
#include "migrate/layer_writer.hpp"
#include "tests/conformance/drivers_under_test.hpp"

using namespace drover;
using namespace drover::test;

namespace {

struct Layers {
  TestFolder folder{test_filesystems().front()};
  Dir dir = Dir::open(folder.path());
  Dir base = dir.make_path("base", 0755), top = dir.make_path("top", 0755);

  View view(Marks marks) const {
    std::vector<OpenLayer> layers;
    layers.push_back({top.clone(), nullptr});
    layers.push_back({base.clone(), nullptr});
    return View(std::move(layers), marks);
  }
  /// What a tree becomes of it.
  Dir as_tree(Marks marks) const {
    Dir tree = dir.make_path("tree", 0755);
    for (const Dir* layer : {&base, &top}) {
      TreeWriter writer(tree, marks, false);
      read_delta(*layer, marks, writer);
    }
    return tree;
  }
};

}  // namespace

TEST_CASE("whiteouts that are empty files with an attribute, as in an overlay on an overlay") {
  for (Marks marks : {Marks::overlay, Marks::fuse_overlayfs}) {
    Layers layers;
    for (const char* name : {"gone", "kept", "emptied"})
      layers.base.make_path("folder", 0755).write_new(name, "below", 0644);
    Dir folder = layers.top.make_path("folder", 0755);
    folder.set_xattr("", "trusted.overlay.opaque", "x");
    folder.write_new("gone", "", 0000);
    folder.set_xattr("gone", "trusted.overlay.whiteout", "");
    folder.write_new("emptied", "", 0644);
    // The attribute says nothing where the folder does not.
    layers.top.write_new("outside", "", 0644);
    layers.top.set_xattr("outside", "trusted.overlay.whiteout", "");
    ViewDir root = layers.view(marks).root();
    CHECK(root.entries().size() == 2);
    ViewDir inside = root.sub(*root.find("folder"));
    CHECK_FALSE(inside.find("gone"));
    CHECK(inside.entries().size() == 2);
    Dir tree = layers.as_tree(marks);
    CHECK(tree.sub("folder").list().size() == 2);
    CHECK(tree.sub("folder").read("emptied").empty());
    CHECK(tree.sub("folder").xattrs("").empty());
    CHECK(tree.xattrs("outside").empty());
  }
}

TEST_CASE("content that lies in another layer is refused, with what to do") {
  for (const char* attribute : {"trusted.overlay.redirect", "trusted.overlay.metacopy"}) {
    Layers layers;
    layers.top.write_new("file", "", 0644);
    layers.top.set_xattr("file", attribute, "/elsewhere");
    Dir tree = layers.dir.make_path("tree", 0755);
    TreeWriter writer(tree, Marks::overlay, false);
    try {
      read_delta(layers.top, Marks::overlay, writer);
      FAIL("it was carried");
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find(attribute) != std::string::npos);
      CHECK_FALSE(e.hint().empty());
    }
  }
}

TEST_CASE("an attribute that the target would take for its own is left out, or stored as what it is") {
  for (Marks marks : {Marks::overlay, Marks::fuse_overlayfs}) {
    Layers layers;
    layers.base.make_path("folder", 0755).write_new("file", "x", 0644);
    layers.base.write_new("marked", "x", 0644);
    for (const char* name : {"folder", "marked"}) {
      layers.base.set_xattr(name, "trusted.overlay.opaque", "y");
      layers.base.set_xattr(name, "user.note", "kept");
    }
    DeltaWriter writer(layers.top, Marks::none, marks, true);
    read_views(plain_view(layers.base), nullptr, {}, writer);
    std::vector<Xattr> kept{{"user.note", "kept"}};
    if (marks == Marks::overlay) kept.insert(kept.begin(), {"trusted.overlay.overlay.opaque", "y"});
    for (const char* name : {"folder", "marked"}) {
      CHECK(layers.top.xattrs(name) == kept);
      CHECK(layers.top.stat(name).st_ino != layers.base.stat(name).st_ino);
    }
    CHECK(layers.top.sub("folder").stat("file").st_ino == layers.base.sub("folder").stat("file").st_ino);
    CHECK(differences(plain_view(layers.base), Marks::none, layers.view(marks), marks) == "");
  }
}

TEST_CASE("content that is called as overlay's own attributes comes out of a layer as the kernel shows it") {
  Layers layers;
  layers.top.make_path("folder", 0755).set_xattr("", "trusted.overlay.overlay.opaque", "y");
  layers.top.set_xattr("folder", "trusted.overlay.origin", "handle");
  Dir tree = layers.as_tree(Marks::overlay);
  CHECK(tree.xattrs("folder") == std::vector<Xattr>{{"trusted.overlay.opaque", "y"}});
  CHECK(differences(layers.view(Marks::overlay), Marks::overlay, plain_view(tree), Marks::none) == "");
  CHECK(opacity(Marks::overlay, layers.top.sub("folder")) == Opacity::transparent);

  for (const Case& one : cases()) {
    if (one.driver.kind != DriverKind::overlay2) continue;
    CAPTURE(one.name());
    TestHome home(one.driver, one.filesystem);
    LayerId id(64, 'a'), top(64, 'b');
    home->create(id, std::nullopt, {}).root.make_path("folder", 0755);
    Dir::open(home.path()).walk(id + "/diff/folder").set_xattr("", "trusted.overlay.overlay.note", "nested");
    home->seal(id);
    home->create(top, id, {});
    home->seal(top);
    auto seen = one.driver.mount(home.path(), *home, top);
    if (auto note = seen->root().xattr("folder", "trusted.overlay.note"))
      CHECK(*note == "nested");
    else
      MESSAGE("SKIP: this kernel's overlay has no such attributes: it is older than 6.7");
  }
}

TEST_CASE("an inode that carries marks is not shared with a driver that would show them") {
  Layers layers;
  for (const char* name : {"plain", "copied-up"}) layers.base.write_new(name, "content", 0644);
  layers.base.set_xattr("copied-up", "trusted.overlay.origin", "handle");
  TreeWriter writer(layers.top, Marks::overlay, true);
  read_delta(layers.base, Marks::overlay, writer);
  CHECK(layers.top.stat("plain").st_ino == layers.base.stat("plain").st_ino);
  CHECK(layers.top.stat("copied-up").st_ino != layers.base.stat("copied-up").st_ino);
  CHECK(layers.top.xattrs("copied-up").empty());
  CHECK(layers.top.read("copied-up") == "content");
}

TEST_CASE("fuse-overlayfs reads the marks of overlay, of aufs and its own") {
  Layers layers;
  for (const char* name : {"device", "file", "stays"}) layers.base.write_new(name, "", 0644);
  for (const char* name : {"one", "two", "three"})
    layers.base.make_path(name, 0755).write_new("below", "", 0644);
  layers.top.make_node("device", S_IFCHR, makedev(0, 0));
  layers.top.write_new(".wh.file", "", 0644);
  layers.top.make_path("one", 0755).set_xattr("", "trusted.overlay.opaque", "y");
  layers.top.make_path("two", 0755).set_xattr("", "user.fuseoverlayfs.opaque", "y");
  layers.top.make_path("three", 0755).write_new(".wh..wh..opq", "", 0644);
  ViewDir root = layers.view(Marks::fuse_overlayfs).root();
  CHECK(root.entries().size() == 4);
  for (const char* name : {"one", "two", "three"}) CHECK(root.sub(*root.find(name)).entries().empty());
  Dir tree = layers.as_tree(Marks::fuse_overlayfs);
  CHECK(differences(layers.view(Marks::fuse_overlayfs), Marks::fuse_overlayfs, plain_view(tree),
                    Marks::none) == "");
  CHECK(tree.list().size() == 4);
}
