#include "drivers/marks.hpp"

#include <dirent.h>
#include <doctest/doctest.h>
#include <sys/xattr.h>

#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

DecodedEntry decoded(Marks marks, const Dir& dir, const std::string& name) {
  return decode(marks, dir, {name, DT_REG, 0}, opacity(marks, dir));
}

}  // namespace

TEST_CASE("aufs spells its marks as files") {
  HostTree tree;
  Dir dir = Dir::open(tree.root());
  CHECK(opacity(Marks::aufs, dir) == Opacity::transparent);
  hide(Marks::aufs, dir, "gone");
  make_opaque(Marks::aufs, dir);
  CHECK(tree.names("/") == std::vector<std::string>{".wh..wh..opq", ".wh.gone"});
  CHECK(opacity(Marks::aufs, dir) == Opacity::opaque);
  CHECK(opacity(Marks::overlay, dir) == Opacity::transparent);
  CHECK(has_named_whiteout(Marks::aufs, dir, "gone"));
  CHECK_FALSE(has_named_whiteout(Marks::aufs, dir, "other"));
  CHECK_FALSE(has_named_whiteout(Marks::overlay, dir, "gone"));
}

TEST_CASE("a mark that is there already is written again without harm") {
  HostTree tree;
  Dir dir = Dir::open(tree.root());
  for (int i = 0; i < 2; ++i) {
    hide(Marks::aufs, dir, "gone");
    make_opaque(Marks::aufs, dir);
  }
  CHECK(tree.names("/").size() == 2);
}

TEST_CASE("a name that is a mark under one spelling is content under another") {
  HostTree tree({{"/.wh.gone", ""}, {"/.wh..wh.plnk", ""}, {"/.wh.", ""}, {"/.whx", ""}, {"/wh.x", ""}});
  Dir dir = Dir::open(tree.root());
  for (Marks marks : {Marks::aufs, Marks::fuse_overlayfs}) {
    DecodedEntry gone = decoded(marks, dir, ".wh.gone");
    CHECK(gone.role == EntryRole::whiteout);
    CHECK(gone.hides == "gone");
    CHECK(decoded(marks, dir, ".wh..wh.plnk").role == EntryRole::bookkeeping);
    CHECK(decoded(marks, dir, ".whx").role == EntryRole::content);
    CHECK(decoded(marks, dir, "wh.x").role == EntryRole::content);
  }
  for (Marks marks : {Marks::none, Marks::overlay})
    for (const char* name : {".wh.gone", ".wh..wh.plnk", ".wh.", ".whx"})
      CHECK(decoded(marks, dir, name).role == EntryRole::content);
}

TEST_CASE("what each driver can hold") {
  for (Marks marks : {Marks::none, Marks::overlay}) {
    CHECK(can_hold_name(marks, ".wh.x"));
    CHECK(can_hold_name(marks, std::string(255, 'n')));
  }
  for (auto [marks, longest] : {std::pair{Marks::aufs, 242}, {Marks::fuse_overlayfs, 251}}) {
    CHECK_FALSE(can_hold_name(marks, ".wh.x"));
    CHECK(can_hold_name(marks, ".whx"));
    CHECK(can_hold_name(marks, std::string(longest, 'n')));
    CHECK_FALSE(can_hold_name(marks, std::string(longest + 1, 'n')));
  }
  CHECK(can_hold_null_device(Marks::none));
  CHECK(can_hold_null_device(Marks::aufs));
  CHECK_FALSE(can_hold_null_device(Marks::overlay));
  CHECK_FALSE(can_hold_null_device(Marks::fuse_overlayfs));
}

TEST_CASE("a driver's own attributes are told from content") {
  CHECK_FALSE(shown_xattr(Marks::overlay, "trusted.overlay.opaque"));
  CHECK(shown_xattr(Marks::overlay, "user.fuseoverlayfs.opaque"));
  CHECK_FALSE(shown_xattr(Marks::fuse_overlayfs, "trusted.overlay.origin"));
  CHECK_FALSE(shown_xattr(Marks::fuse_overlayfs, "user.fuseoverlayfs.opaque"));
  for (Marks marks : {Marks::none, Marks::aufs, Marks::overlay, Marks::fuse_overlayfs})
    for (const char* plain : {"user.note", "trusted.overlayx", "security.capability"}) {
      CHECK(shown_xattr(marks, plain) == plain);
      CHECK(stored_xattr(marks, plain) == plain);
    }
  CHECK(shown_xattr(Marks::none, "trusted.overlay.opaque") == "trusted.overlay.opaque");
  CHECK(shown_xattr(Marks::aufs, "trusted.overlay.opaque") == "trusted.overlay.opaque");
}

TEST_CASE("content that is called as overlay's own attributes is stored with one more `overlay.`") {
  CHECK(shown_xattr(Marks::overlay, "trusted.overlay.overlay.opaque") == "trusted.overlay.opaque");
  CHECK(stored_xattr(Marks::overlay, "trusted.overlay.opaque") == "trusted.overlay.overlay.opaque");
  // Of an overlay in an overlay in an overlay.
  CHECK(shown_xattr(Marks::overlay, "trusted.overlay.overlay.overlay.x") == "trusted.overlay.overlay.x");
  CHECK(stored_xattr(Marks::overlay, "trusted.overlay.overlay.x") == "trusted.overlay.overlay.overlay.x");
  // fuse-overlayfs knows no such spelling: it hides whatever begins so.
  CHECK_FALSE(shown_xattr(Marks::fuse_overlayfs, "trusted.overlay.overlay.opaque"));
  CHECK_FALSE(stored_xattr(Marks::fuse_overlayfs, "trusted.overlay.opaque"));
  CHECK(stored_xattr(Marks::none, "trusted.overlay.opaque") == "trusted.overlay.opaque");
}

TEST_CASE("fuse-overlayfs reads the attributes that it writes without root") {
  HostTree tree;
  Dir dir = Dir::open(tree.root());
  if (::setxattr(tree.root().c_str(), "user.fuseoverlayfs.opaque", "y", 1, 0) != 0) {
    MESSAGE("SKIP: no user attributes on the temporary directory's filesystem");
    return;
  }
  CHECK(opacity(Marks::fuse_overlayfs, dir) == Opacity::opaque);
  CHECK(opacity(Marks::overlay, dir) == Opacity::transparent);
  dir.set_xattr("", "user.fuseoverlayfs.opaque", "n");
  CHECK(opacity(Marks::fuse_overlayfs, dir) == Opacity::transparent);
}
