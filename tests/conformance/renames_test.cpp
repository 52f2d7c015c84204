// Layers that are renamed instead of copied (`migrate --move`): among all drivers that can, there and back.
#include <doctest/doctest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "drivers/marks.hpp"
#include "drivers/sys/trail.hpp"
#include "migrate/layer_renames.hpp"
#include "migrate/migration_folder.hpp"
#include "tests/conformance/sample_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {

std::unique_ptr<Driver> home_of(const SampleHost& host, DriverKind kind) {
  return driver_entry(kind).open(host.path(std::string(driver_name(kind))), {});
}

std::string time_of(const struct stat& st) {
  return std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
}

/// All that is on disk below a directory, one a line: of a mark what it is, of all else what makes it this
/// very inode.
void list_tree(const Dir& dir, const std::string& path, std::vector<std::string>& lines) {
  struct stat own = dir.stat();
  std::string line = path + "/ " + std::to_string(own.st_ino) + " " + time_of(own);
  for (const auto& [name, value] : dir.xattrs("")) line += " " + name + "=" + value;
  lines.push_back(line);
  for (const DirEntry& entry : dir.list()) {
    std::string below = path + "/" + entry.name;
    struct stat st = dir.stat(entry.name);
    bool mark =
        (S_ISCHR(st.st_mode) && st.st_rdev == 0) || (S_ISREG(st.st_mode) && entry.name.starts_with(".wh."));
    if (S_ISDIR(st.st_mode))
      list_tree(dir.sub(entry.name), below, lines);
    else
      lines.push_back(below + (mark ? " mark" : " " + std::to_string(st.st_ino) + " " + time_of(st)) + " " +
                      std::to_string(st.st_mode));
  }
}

std::string content_of(const Driver& home) {
  std::vector<std::string> lines;
  for (const LayerId& id : home.layers()) list_tree(home.open(id).root, id, lines);
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

/// A host whose data is under `from` already.
void bring_to(const SampleHost& host, DriverKind from) {
  if (from == DriverKind::overlay2) return;
  check_done(host.run({"migrate", "--to", std::string(driver_name(from)), "--yes", "--force"}));
  check_done(host.run({"commit", "--yes"}));
}

LayerId writable_of(const SampleHost& host, DriverKind kind) {
  return read_inventory(Dir::open(host.root()), kind, nullptr).mounts.begin()->second.mount_id;
}

std::vector<std::string> move_to(DriverKind to, std::vector<std::string> more = {}) {
  std::vector<std::string> words{"migrate", "--to",  std::string(driver_name(to)),
                                 "--move",  "--yes", "--force"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const DriverKind kKinds[] = {DriverKind::overlay2, DriverKind::fuse_overlayfs, DriverKind::aufs};

}  // namespace

TEST_CASE("layers are renamed among all drivers that can, and come back as they were") {
  for (DriverKind from : kKinds)
    for (DriverKind to : kKinds) {
      if (from == to) continue;
      CAPTURE(std::string(driver_name(from)));
      CAPTURE(std::string(driver_name(to)));
      SampleHost host(filesystem("ext4"));
      bring_to(host, from);
      {
        Dir layer = home_of(host, from)->open(writable_of(host, from)).root;
        layer.make_dir("again", 0755);
        make_opaque(home_of(host, from)->marks(), layer.sub("again"));
        layer.make_dir("deep", 0750);
        layer.sub("deep").make_dir("new\nline", 0755);
        hide(home_of(host, from)->marks(), layer.sub("deep").sub("new\nline"), "gone \xff");
        timespec old[2] = {{1000, 1}, {-77, 123456789}};
        for (const char* path : {"again", "deep/new\nline", "deep", "."})
          REQUIRE(::utimensat(layer.fd(), path, old, 0) == 0);
        if (from == DriverKind::aufs) {
          layer.write_new(".wh..wh.aufs", "", 0444);
          layer.make_dir(".wh..wh.orph", 0700);
          REQUIRE(::utimensat(layer.fd(), ".", old, 0) == 0);
        }
      }
      std::string before = content_of(*home_of(host, from));
      std::string shown = host.losses(from);
      Run moved = host.run(move_to(to));
      REQUIRE_MESSAGE(moved.code == 0, moved.err);
      CHECK(has(moved.out, "Layers Renamed: 5\n"));
      CHECK(has(moved.out, "Files: 0 linked, 0 reflinked, 0 copied"));
      CHECK(host.losses(to) == shown);
      check_done(host.run({"verify"}));
      CHECK_FALSE(host.exists(std::string(driver_name(from))));
      {
        // Nothing of one driver's spelling is left in the other's home.
        Dir layer = home_of(host, to)->open(writable_of(host, to)).root;
        Marks marks = home_of(host, to)->marks();
        Dir deep = layer.sub("deep").sub("new\nline");
        CHECK(deep.exists(marks == Marks::aufs ? ".wh.gone \xff" : "gone \xff"));
        CHECK(deep.list().size() == 1);
        CHECK(opacity(marks, layer.sub("again")) == Opacity::opaque);
        CHECK(layer.exists(".wh..wh.aufs") == false);
        CHECK(time_of(deep.stat()) == "-77.123456789");
        CHECK(time_of(layer.stat()) == "-77.123456789");
      }
      check_done(host.run({"rollback", "--yes"}));
      CHECK(content_of(*home_of(host, from)) == before);
      CHECK(host.losses(from) == shown);
      CHECK_FALSE(host.exists("drover"));
      CHECK_FALSE(host.exists(std::string(driver_name(to))));
      check_done(host.run({"verify"}));

      check_done(host.run(move_to(to, {"--no-proof"})));
      check_done(host.run({"commit", "--yes"}));
      CHECK(host.losses(to) == shown);
      CHECK_FALSE(host.exists("drover"));
      check_done(host.run({"verify"}));
    }
}

TEST_CASE("what containers have written since comes back with them, and what was removed does not") {
  for (DriverKind from : {DriverKind::overlay2, DriverKind::aufs}) {
    CAPTURE(std::string(driver_name(from)));
    DriverKind to = from == DriverKind::aufs ? DriverKind::overlay2 : DriverKind::fuse_overlayfs;
    SampleHost host(filesystem("ext4"));
    bring_to(host, from);
    LayerId writable = writable_of(host, from);
    check_done(host.run(move_to(to)));
    {
      auto home = home_of(host, to);
      Dir layer = home->open(writable).root;
      layer.write_new("since", "written under the new driver", 0644);
      layer.make_dir("opaque since", 0755);
      make_opaque(home->marks(), layer.sub("opaque since"));
      // As fuse-overlayfs leaves them beside its attribute.
      if (to == DriverKind::fuse_overlayfs) {
        layer.sub("opaque since").write_new(".wh..wh..opq", "", 0700);
        layer.sub("opaque since").make_node(".wh..opq", S_IFCHR, 0);
      }
      hide(home->marks(), layer, "gone since");
    }
    SUBCASE("written") {
      check_done(host.run({"rollback", "--yes"}));
      auto home = home_of(host, from);
      Dir layer = home->open(writable).root;
      CHECK(layer.read("since") == "written under the new driver");
      CHECK(opacity(home->marks(), layer.sub("opaque since")) == Opacity::opaque);
      CHECK(layer.sub("opaque since").list().size() == (from == DriverKind::aufs ? 1 : 0));
      CHECK(layer.exists(from == DriverKind::aufs ? ".wh.gone since" : "gone since"));
      CHECK(layer.exists("gone since") == (from != DriverKind::aufs));
      check_done(host.run({"verify"}));
    }
    SUBCASE("removed") {
      // As the engine does: the layers, then the records.
      Inventory now = read_inventory(Dir::open(host.root()), to, nullptr);
      std::string container = now.containers.begin()->first;
      MountRecord mount = now.mounts.begin()->second;
      auto home = home_of(host, to);
      home->remove(mount.mount_id);
      home->remove(*mount.init_id);
      std::string records = host.path("image/" + std::string(driver_name(to)) + "/layerdb/mounts");
      Dir::open(records).remove_tree(container);
      Dir::open(host.path("containers")).remove_tree(container);
      Run back = host.run({"rollback", "--yes"});
      check_done(back);
      Inventory then = read_inventory(Dir::open(host.root()), from, home_of(host, from).get());
      CHECK(then.containers.empty());
      CHECK(then.mounts.empty());
      CHECK(then.problems.empty());
      CHECK(then.images.size() == 3);
      CHECK(Dir::open(host.path("containers")).list().empty());
      CHECK_FALSE(host.exists("drover"));
      check_done(host.run({"verify"}));
    }
    SUBCASE("an image, too") {
      Inventory now = read_inventory(Dir::open(host.root()), to, nullptr);
      auto home = home_of(host, to);
      for (const auto& [chain, layer] : now.layers) home->remove(layer.cache_id);
      Run back = host.run({"rollback", "--yes"});
      check_done(back);
      Inventory then = read_inventory(Dir::open(host.root()), from, home_of(host, from).get());
      CHECK(then.layers.empty());
      CHECK(then.images.empty());
      CHECK(then.problems.empty());
      check_done(host.run({"verify"}));
    }
  }
}

TEST_CASE("what cannot be renamed as it is, is copied, and the plan says so") {
  SampleHost host(filesystem("ext4"));
  LayerId writable = writable_of(host, DriverKind::overlay2);
  {
    Dir layer = home_of(host, DriverKind::overlay2)->open(writable).root;
    layer.write_new("odd", "", 0644);
    layer.set_xattr("odd", "user.overlay.odd", "y");
  }
  Run plan = host.run({"migrate", "--to", "fuse-overlayfs", "--move", "--dry-run", "--force"});
  check_done(plan);
  CHECK_MESSAGE(has(plan.out, "is copied with what it stands on, not renamed: `"), plan.out);
  CHECK(has(plan.out, "has the attribute user.overlay.odd"));
  Run moved = host.run(move_to(DriverKind::fuse_overlayfs));
  check_done(moved);
  CHECK(has(moved.out, "Layers Proven: 3"));
  auto home = home_of(host, DriverKind::fuse_overlayfs);
  CHECK(home->open(writable).root.exists("odd"));
  CHECK(home->open(writable).root.xattrs("odd").empty());
  check_done(host.run({"rollback", "--yes"}));
  CHECK(home_of(host, DriverKind::overlay2)->open(writable).root.xattr("odd", "user.overlay.odd") == "y");
  check_done(host.run({"verify"}));
}

TEST_CASE("what cannot go back is said before anything is done") {
  SampleHost host(filesystem("ext4"));
  bring_to(host, DriverKind::aufs);
  LayerId writable = writable_of(host, DriverKind::aufs);
  check_done(host.run(move_to(DriverKind::overlay2)));
  home_of(host, DriverKind::overlay2)->open(writable).root.write_new(".wh.odd", "", 0644);
  Run refused = host.run({"rollback", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "is of a name that the new driver cannot hold"), refused.err);
  CHECK(host.state() == MigrationState::switched);
  home_of(host, DriverKind::overlay2)->open(writable).root.unlink(".wh.odd");
  check_done(host.run({"rollback", "--yes"}));
  check_done(host.run({"verify"}));
}

TEST_CASE("where layers cannot be renamed at all, --move is refused") {
  SampleHost host(filesystem("ext4"));
  Run tree = host.run({"migrate", "--to", "vfs", "--move", "--yes"});
  CHECK(tree.code == 10);
  CHECK(has(message_of(tree), "cannot rename the layers of overlay2 into a home of vfs"));
  CHECK(has(message_of(tree), "hint: leave --move out"));
  CHECK(host.run({"migrate", "--to", "fuse-overlayfs", "--move", "--to-root", "/x", "--yes"}).code == 2);
  CHECK(host.run({"migrate", "--resume", "--move", "--yes"}).code == 2);
  CHECK(host.damage() == "");
}

TEST_CASE("without a proof nothing is read back, and the result says so") {
  SampleHost host(filesystem("ext4"));
  Run moved = host.run({"migrate", "--to", "vfs", "--no-proof", "--yes"});
  check_done(moved);
  CHECK_MESSAGE(has(moved.out, "Not Proven: 5 layers"), moved.out);
  CHECK(has(moved.out, "Layers Proven: 0"));
  CHECK(host.losses(DriverKind::vfs) == "");
  check_done(host.run({"verify"}));
}

TEST_CASE("a damaged layer is refused where it is, or stays in the old home") {
  SampleHost host(filesystem("ext4"));
  Inventory inventory = host.inventory();
  LayerId top = inventory.layers.at(*inventory.images.begin()->second.top).cache_id;
  {
    Dir layer = home_of(host, DriverKind::overlay2)->open(top).root;
    for (const DirEntry& entry : layer.list())
      if (S_ISREG(layer.stat(entry.name).st_mode)) layer.write_atomic(entry.name, "damaged", 0644);
    layer.write_new("extra", "", 0644);
  }
  Run verified = host.run({"verify"});
  if (verified.code == 0) return;  // this layer has no file at its top
  CHECK(host.run({"migrate", "--to", "fuse-overlayfs", "--move", "--yes"}).code == 12);
  check_done(host.run({"rollback", "--yes"}));
  Run left = host.run({"migrate", "--to", "fuse-overlayfs", "--move", "--keep-going", "--yes"});
  CHECK(left.code == 3);
  CHECK_FALSE(home_of(host, DriverKind::fuse_overlayfs)->contains(top));
  CHECK(host.exists(host.migration().substr(host.root().size() + 1) + "/kept/home/" + top + "/diff"));
  check_done(host.run({"rollback", "--yes"}));
  CHECK(home_of(host, DriverKind::overlay2)->contains(top));
}
