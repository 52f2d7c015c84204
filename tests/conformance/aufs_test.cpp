// What is aufs's own: its home, its marks, and the way to overlay2 and back. No aufs kernel is needed.
#include <doctest/doctest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "drivers/driver.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/view.hpp"
#include "migrate/compare_views.hpp"
#include "migrate/layer_writer.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

const LayerId kBase(64, 'a'), kMiddle(64, 'b'), kTop(64, 'c');

struct AufsHome {
  HostTree tree;
  std::unique_ptr<Driver> driver = driver_entry(DriverKind::aufs).open(tree.path("/aufs"), {{100, 200}, {}});
  AufsHome() { driver->make_home(); }
  OpenLayer create(const LayerId& id, const std::optional<LayerId>& parent) {
    return driver->create(id, parent, {.share_inodes = true});
  }
};

std::string facts(const Dir& dir, std::string_view name) {
  struct stat st = dir.stat(name);
  char text[64];
  std::snprintf(text, sizeof text, "%o %u:%u", st.st_mode & 07777, st.st_uid, st.st_gid);
  return text;
}

std::string refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

std::vector<std::string> names(const ViewDir& dir) {
  std::vector<std::string> names;
  for (const ViewEntry& entry : dir.entries()) names.push_back(entry.name);
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("an aufs home is what the engine makes") {
  AufsHome home;
  home.create(kBase, std::nullopt);
  home.create(kMiddle, kBase);
  home.create(kTop, kMiddle);
  Dir dir = Dir::open(home.tree.path("/aufs"));
  CHECK(facts(Dir::open(home.tree.root()), "aufs") == "710 0:200");
  for (const char* name : {"diff", "layers", "mnt"}) CHECK(facts(dir, name) == "710 0:200");
  for (const char* name : {"diff", "mnt"}) CHECK(facts(dir.sub(name), kTop) == "755 100:200");
  CHECK(facts(dir.sub("layers"), kTop) == "644 0:0");
  CHECK(dir.sub("layers").read(kTop) == kMiddle + "\n" + kBase + "\n");
  CHECK(dir.sub("layers").read(kBase) == "");
  CHECK(home.driver->stack(kTop) == std::vector<LayerId>{kTop, kMiddle, kBase});
  CHECK(home.driver->layers().size() == 3);
  home.driver->remove(kTop);
  CHECK_FALSE(home.driver->contains(kTop));
  for (const char* name : {"diff", "layers", "mnt"}) CHECK(dir.sub(name).list().size() == 2);
  home.driver->remove(kTop);
  home.driver->remove_home();
  CHECK(Dir::open(home.tree.root()).list().empty());
}

TEST_CASE("what is left of a layer half made is listed and goes") {
  AufsHome home;
  home.tree.write("/aufs/layers/" + kTop, "");
  CHECK(home.driver->layers() == std::vector<LayerId>{kTop});
  CHECK_FALSE(home.driver->contains(kTop));
  home.driver->remove(kTop);
  CHECK(home.driver->layers().empty());
}

TEST_CASE("damaged lists of an aufs home are refused by name") {
  AufsHome home;
  home.create(kBase, std::nullopt);
  home.create(kMiddle, kBase);
  home.create(kTop, kMiddle);
  auto damaged = [&](const std::string& text) {
    home.tree.write("/aufs/layers/" + kTop, text);
    std::string why = refusal([&] { home.driver->stack(kTop); });
    CHECK(why.find("/aufs/layers/" + kTop) != std::string::npos);
    return why.find("damaged") == why.npos ? why : why.substr(why.rfind("damaged"));
  };
  CHECK(damaged("../../etc\n") == "damaged: it names what is no layer");
  CHECK(damaged(kTop + "\n") == "damaged: layer " + kTop + " stands on itself");
  CHECK(damaged(kMiddle + "\n" + kBase + "\n" + kBase + "\n") ==
        "damaged: layer " + kBase + " stands on itself");
  CHECK(damaged(kMiddle + "\n") == "damaged: it does not agree with that of layer " + kMiddle);
  home.tree.write("/aufs/layers/" + kTop, std::string(1 << 20, '\n'));
  CHECK(refusal([&] { home.driver->stack(kTop); }) != "");
  home.tree.write("/aufs/layers/" + kTop, "\n" + kMiddle + "\n\n" + kBase);
  CHECK(home.driver->stack(kTop).size() == 3);
}

TEST_CASE("marks of aufs") {
  AufsHome home;
  Dir base = home.create(kBase, std::nullopt).root, top = home.create(kTop, kBase).root;
  for (const char* name : {"gone", "both", "kept", "not-by-a-folder", "below"})
    base.write_new(name, "1", 0644);
  for (const char* name : {"opaque", "merged"}) {
    base.make_dir(name, 0755);
    base.sub(name).write_new("old", "1", 0644);
    top.make_dir(name, 0755);
    top.sub(name).write_new("new", "2", 0644);
  }
  top.sub("opaque").write_new(".wh..wh..opq", "", 0444);
  for (const char* name :
       {".wh.gone", ".wh.both", ".wh.never-there", ".wh..wh.aufs", ".wh.", ".wh...", ".wh.."})
    top.write_new(name, "", 0444);
  top.write_new("both", "2", 0644);
  for (const char* name : {".wh.not-by-a-folder", ".wh..wh.plnk", ".wh..wh.orph", ".wh..wh.tmp.0001"})
    top.make_dir(name, 0700);
  top.sub(".wh..wh.plnk").write_new("7.8", "", 0644);
  top.write_new(".wh..wh..opq", "", 0444);  // of a root it means nothing

  ViewDir root = View(*home.driver, kTop).root();
  CHECK(names(root) == Names{"below", "both", "kept", "merged", "not-by-a-folder", "opaque"});
  CHECK(root.find("both")->layer == 0);
  CHECK_FALSE(root.find("gone"));
  CHECK(root.find("not-by-a-folder")->layer == 1);
  CHECK(names(root.sub(*root.find("opaque"))) == Names{"new"});
  CHECK(names(root.sub(*root.find("merged"))) == Names{"new", "old"});

  auto remarks = home.driver->remarks(kTop);
  REQUIRE(remarks.size() == 2);
  CHECK(remarks[0].starts_with("`both` is in its tar both as present and as deleted: aufs hides"));
  CHECK(remarks[1].find("left 1 pseudo-link:") != std::string::npos);
  CHECK(home.driver->remarks(kBase).empty());

  CHECK(can_hold_name(Marks::aufs, std::string(242, 'n')));
  CHECK_FALSE(can_hold_name(Marks::aufs, std::string(243, 'n')));
  CHECK_FALSE(can_hold_name(Marks::aufs, ".wh.x"));
  CHECK(can_hold_null_device(Marks::aufs));
}

TEST_CASE("from aufs to overlay2 and back no data moves, and the marks come back") {
  AufsHome home;
  auto overlay = driver_entry(DriverKind::overlay2).open(home.tree.path("/overlay2"), {});
  auto again = driver_entry(DriverKind::aufs).open(home.tree.path("/aufs-again"), {{100, 200}, {}});
  overlay->make_home();
  again->make_home();
  Dir base = home.create(kBase, std::nullopt).root, top = home.create(kTop, kBase).root;
  base.write_new("file", "content", 04755);
  base.make_dir("dir", 0755);
  base.sub("dir").write_new("old", "old", 0644);
  base.make_symlink("link", "file");
  REQUIRE(::linkat(base.fd(), "file", base.fd(), "hard", 0) == 0);
  base.make_node("device", S_IFCHR | 0600, makedev(1, 3));
  top.make_dir("dir", 0700);
  top.sub("dir").write_new(".wh..wh..opq", "", 0444);
  top.write_new(".wh.link", "", 0444);
  top.write_new(".wh..wh.aufs", "", 0444);

  auto carry = [](const Driver& from, Driver& to, const LayerId& id, const std::optional<LayerId>& parent) {
    OpenLayer made = to.create(id, parent, {.share_inodes = true});
    DeltaWriter writer(made.root, from.marks(), to.marks(), true);
    read_delta(from.open(id).root, from.marks(), writer);
    return writer.count();
  };
  auto alike = [](const Driver& a, const Driver& b, const LayerId& id) {
    ViewDifferences found = compare_views({View(a, id), a.marks()}, {View(b, id), b.marks()}, true);
    return found.none() ? "" : found.first.front();
  };
  TransferCount there = carry(*home.driver, *overlay, kBase, std::nullopt);
  there += carry(*home.driver, *overlay, kTop, kBase);
  TransferCount back = carry(*overlay, *again, kBase, std::nullopt);
  back += carry(*overlay, *again, kTop, kBase);
  for (const TransferCount& count : {there, back}) {
    CHECK(count.copied + count.reflinked == 0);
    CHECK(count.linked == 2);  // a file with two names, and one with one
    CHECK(count.hidden == 1);
  }
  for (const LayerId& id : {kBase, kTop}) {
    CHECK(alike(*home.driver, *overlay, id) == "");
    CHECK(alike(*home.driver, *again, id) == "");
  }
  CHECK(again->open(kBase).root.stat("file").st_ino == base.stat("file").st_ino);
  Dir top_again = again->open(kTop).root;
  CHECK(top_again.list().size() == 2);
  CHECK(top_again.exists(".wh.link"));
  CHECK(top_again.sub("dir").exists(".wh..wh..opq"));
  CHECK(overlay->open(kTop).root.xattr("dir", "trusted.overlay.opaque") == "y");
}
