// Layers that are renamed instead of copied (`migrate --move`): among all drivers that can, there and back.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>

#include "drivers/marks.hpp"
#include "migrate/layer_renames.hpp"
#include "migrate/migration_folder.hpp"
#include "tests/conformance/renames_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {
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

TEST_CASE("nor does a migration that is gone on with say that something was proven") {
  SampleHost host(filesystem("ext4"));
  stage_only(host, {"migrate", "--to", "vfs", "--no-proof", "--yes", "-j", "1"});
  Run moved = host.run({"migrate", "--resume", "--yes"});
  check_done(moved);
  CHECK_MESSAGE(has(moved.out, "Not Proven: 5 layers"), moved.out);
  CHECK(has(moved.out, "Layers Proven: 0"));
}

TEST_CASE("a damaged layer is refused where it is, or stays in the old home") {
  SampleHost host(filesystem("ext4"));
  Inventory inventory = host.inventory();
  const ImageRecord& slim = slim_image(inventory);
  LayerId top = inventory.layers.at(*slim.top).cache_id;
  home_of(host, DriverKind::overlay2)
      ->open(top)
      .root.walk("opt/cache")
      .write_atomic("third", "damaged", 0644);
  Run verified = host.run({"verify"});
  REQUIRE(verified.code != 0);
  CHECK(host.run({"migrate", "--to", "fuse-overlayfs", "--move", "--yes"}).code == 12);
  check_done(host.run({"rollback", "--yes"}));
  Run left = host.run({"migrate", "--to", "fuse-overlayfs", "--move", "--keep-going", "--yes"});
  CHECK(left.code == 3);
  CHECK_FALSE(home_of(host, DriverKind::fuse_overlayfs)->contains(top));
  CHECK(host.exists(host.migration().substr(host.root().size() + 1) + "/kept/home/" + top + "/diff"));
  check_done(host.run({"rollback", "--yes"}));
  CHECK(home_of(host, DriverKind::overlay2)->contains(top));
}
