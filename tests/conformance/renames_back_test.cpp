// The way back of renamed layers (`migrate --move`): from wherever it is, and whatever others have done.
#include <doctest/doctest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>

#include "drivers/marks.hpp"
#include "migrate/layer_renames.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/switch.hpp"
#include "tests/conformance/renames_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {
/// What is there, which must be sound.
Inventory whole_inventory(const SampleHost& host, DriverKind kind) {
  Inventory inventory = read_inventory(Dir::open(host.root()), kind, home_of(host, kind).get());
  CHECK(inventory.problems.empty());
  check_done(host.run({"verify"}));
  return inventory;
}
}  // namespace

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
      remove_container(host, to);
      Run back = host.run({"rollback", "--yes"});
      check_done(back);
      Inventory then = whole_inventory(host, from);
      CHECK(then.containers.empty());
      CHECK(then.mounts.empty());
      CHECK(then.images.size() == 3);
      CHECK(Dir::open(host.path("containers")).list().empty());
      CHECK_FALSE(host.exists("drover"));
    }
    SUBCASE("an image, too") {
      remove_container(host, to);
      remove_images(host, to);
      check_done(host.run({"rollback", "--yes"}));
      Inventory then = whole_inventory(host, from);
      CHECK(then.layers.empty());
      CHECK(then.images.empty());
    }
  }
}

TEST_CASE("what cannot go back is said before anything is done") {
  SampleHost host(filesystem("ext4"));
  bring_to(host, DriverKind::aufs);
  LayerId writable = writable_of(host, DriverKind::aufs);
  check_done(host.run(move_to(DriverKind::overlay2)));
  home_of(host, DriverKind::overlay2)->open(writable).root.write_new(".wh.odd", "", 0644);
  Run refused = host.run({"rollback", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "is of a name that aufs cannot hold"), refused.err);
  CHECK(host.state() == MigrationState::switched);
  home_of(host, DriverKind::overlay2)->open(writable).root.unlink(".wh.odd");
  check_done(host.run({"rollback", "--yes"}));
  check_done(host.run({"verify"}));
}

TEST_CASE("what is elsewhere in part does not go back to a driver that does not follow it") {
  SampleHost host(filesystem("ext4"));
  bring_to(host, DriverKind::aufs);
  LayerId writable = writable_of(host, DriverKind::aufs);
  check_done(host.run(move_to(DriverKind::overlay2)));
  Dir layer = home_of(host, DriverKind::overlay2)->open(writable).root;
  for (const char* attribute : {"trusted.overlay.redirect", "trusted.overlay.metacopy"}) {
    CAPTURE(std::string(attribute));
    layer.make_dir("renamed", 0755);
    layer.set_xattr("renamed", attribute, "etc");
    Run refused = host.run({"rollback", "--yes"});
    CHECK(refused.code == 1);
    CHECK_MESSAGE(has(message_of(refused), "by which a part of it is elsewhere"), refused.err);
    CHECK(has(message_of(refused), "docker save -o FILE"));
    CHECK(host.state() == MigrationState::switched);
    layer.remove_tree("renamed");
  }
  check_done(host.run({"rollback", "--yes"}));
}

TEST_CASE("layers that the new records name are not taken for removed where they are out of sight") {
  SampleHost host(filesystem("ext4"));
  std::string before = content_of(*home_of(host, DriverKind::overlay2));
  check_done(host.run(move_to(DriverKind::fuse_overlayfs)));
  Dir root = Dir::open(host.root());
  auto refused = [&] {
    Run back = host.run({"rollback", "--yes"});
    CHECK(back.code == 1);
    CHECK_MESSAGE(has(message_of(back), "though the records of fuse-overlayfs name it"), back.err);
    CHECK(host.state() == MigrationState::switched);
  };
  root.rename("fuse-overlayfs", root, "elsewhere");
  refused();
  root.make_dir("fuse-overlayfs", 0710);  // as where a disk is not mounted
  refused();
  root.remove_dir("fuse-overlayfs");
  root.rename("elsewhere", root, "fuse-overlayfs");
  LayerId writable = writable_of(host, DriverKind::fuse_overlayfs);
  Dir home = root.sub("fuse-overlayfs");
  home.rename(writable, root, "one-elsewhere");
  refused();
  root.rename("one-elsewhere", home, writable);
  check_done(host.run({"rollback", "--yes"}));
  CHECK(content_of(*home_of(host, DriverKind::overlay2)) == before);
  check_done(host.run({"verify"}));
}

TEST_CASE("a layer that is lost before it is renamed is no empty one; a half-renamed home is no staged one") {
  SampleHost host(filesystem("ext4"));
  std::string before = content_of(*home_of(host, DriverKind::overlay2));
  stage_only(host, move_to(DriverKind::fuse_overlayfs));
  Dir root = Dir::open(host.root());
  LayerId lost = writable_of(host, DriverKind::overlay2);
  Dir place = root.sub("overlay2").sub(lost);
  {
    auto folder = MigrationFolder::find(root);
    REQUIRE(folder);
    LayerRenames renames(folder->dir());
    auto old = home_of(host, DriverKind::overlay2);
    auto staged = driver_entry(DriverKind::fuse_overlayfs).open(folder->home_path(), {});
    CHECK(renames.count() == 5);
    auto awaiting = *staged->place_in_home(lost);
    awaiting.holder.make_dir(awaiting.name, 0755);  // a cut between two changes of staging
    CHECK_FALSE(renames.begun(*old, *staged));
    awaiting.holder.remove_dir(awaiting.name);
    place.rename("diff", root, "lost+found");
    CHECK_FALSE(renames.begun(*old, *staged));
    CHECK_THROWS_AS(renames.forward(*old, *staged), Error);
    CHECK(renames.gone(*old, *staged) == std::set<LayerId>{lost});
    CHECK(renames.begun(*old, *staged));
    root.rename("lost+found", place, "diff");
    CHECK(folder->state() == MigrationState::staging);
  }
  // The journal is of before, nothing is on hold, and there is one copy.
  check_done(host.run({"rollback", "--yes"}));
  CHECK(content_of(*home_of(host, DriverKind::overlay2)) == before);
  check_done(host.run({"verify"}));
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("damage that was there before is not laid at the engine's door") {
  SampleHost host(filesystem("ext4"));
  Inventory inventory = host.inventory();
  const ImageRecord& slim = slim_image(inventory);
  Dir::open(host.path("overlay2/" + inventory.layers.at(*slim.top).cache_id)).remove_tree("diff");
  Run moved = host.run(move_to(DriverKind::fuse_overlayfs, {"--keep-going"}));
  CHECK(moved.code == 3);
  remove_container(host, DriverKind::fuse_overlayfs);
  // Without the list of what was left behind nobody knows what may not be touched: said before anything is on
  // hold.
  Dir folder = Dir::open(host.migration());
  std::string left = folder.read("left-behind.json"), config = host.config();
  folder.unlink("left-behind.json");
  Run refused = host.run({"rollback", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "left-behind.json"), refused.err);
  CHECK(host.config() == config);
  folder.write_new("left-behind.json", left, 0600);
  SUBCASE("the container alone") {}
  // What was left behind stands on one of these.
  SUBCASE("and all images") { remove_images(host, DriverKind::fuse_overlayfs); }
  check_done(host.run({"rollback", "--yes"}));
  CHECK(host.exists("image/overlay2/imagedb/content/sha256/" + slim.id));
  CHECK(host.exists("image/overlay2/layerdb/sha256/" + *slim.top));
  CHECK(read_inventory(Dir::open(host.root()), DriverKind::overlay2, nullptr).containers.empty());
}

namespace {
/// Goes back to where the old setup is in force, and is cut there.
void roll_back_until_the_end(const SampleHost& host) {
  Dir root = Dir::open(host.root());
  auto folder = MigrationFolder::find(root);
  REQUIRE(folder);
  Switch way(root, *folder);
  way.require_way_back();
  way.look_back();
  folder->set_state(MigrationState::rolling_back);
  way.backward();
}

/// Is cut where all is staged, and renames the layers then: as in a switch whose hold somebody takes away.
void rename_without_hold(const SampleHost& host, DriverKind to) {
  stage_only(host, move_to(to));
  Dir root = Dir::open(host.root());
  auto folder = MigrationFolder::find(root);
  REQUIRE(folder);
  Switch(root, *folder).prepare();
  folder->set_state(MigrationState::switching);
  LayerRenames(folder->dir())
      .forward(*home_of(host, DriverKind::overlay2),
               *driver_entry(to).open(folder->home_path(), folder->record().to_home));
}
}  // namespace

TEST_CASE("what the old engine removes after a cut rollback does not keep that from its end") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run(move_to(DriverKind::fuse_overlayfs)));
  roll_back_until_the_end(host);
  remove_container(host, DriverKind::overlay2);
  check_done(host.run({"rollback", "--yes"}));
  CHECK_FALSE(host.exists("drover"));
  CHECK(read_inventory(Dir::open(host.root()), DriverKind::overlay2, nullptr).containers.empty());
  check_done(host.run({"verify"}));
}

TEST_CASE("nor what it removes where somebody has taken the hold away") {
  SampleHost host(filesystem("ext4"));
  rename_without_hold(host, DriverKind::aufs);
  remove_container(host, DriverKind::overlay2);
  CHECK(host.run({"migrate", "--resume", "--yes"}).code == 11);
  check_done(host.run({"rollback", "--yes"}));
  CHECK_FALSE(host.exists("drover"));
  CHECK(whole_inventory(host, DriverKind::overlay2).containers.empty());
}

TEST_CASE("a layer whose place in the old home is lost does not go back to nowhere") {
  SampleHost host(filesystem("ext4"));
  std::string before = content_of(*home_of(host, DriverKind::overlay2));
  rename_without_hold(host, DriverKind::aufs);
  Dir root = Dir::open(host.root()), home = root.sub("overlay2");
  LayerId writable = writable_of(host, DriverKind::overlay2);
  home.rename(writable, root, "lost+found");
  Run refused = host.run({"rollback", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "the place of layer"), refused.err);
  root.rename("lost+found", home, writable);
  check_done(host.run({"rollback", "--yes"}));
  CHECK(content_of(*home_of(host, DriverKind::overlay2)) == before);
}

TEST_CASE("marks that are of either spelling are not read once more") {
  SampleHost host(filesystem("ext4"));
  bring_to(host, DriverKind::aufs);
  LayerId writable = writable_of(host, DriverKind::aufs);
  check_done(host.run(move_to(DriverKind::overlay2)));
  std::string config = host.config();
  Dir root = Dir::open(host.root());
  hide(Marks::overlay, home_of(host, DriverKind::overlay2)->open(writable).root, "gone since");
  {
    auto folder = MigrationFolder::find(root);
    REQUIRE(folder);
    Switch way(root, *folder);
    way.look_back();
    folder->set_state(MigrationState::rolling_back);
    folder->dir().sub("renames").make_dir("back-begun", 0700);
  }
  hide(Marks::aufs, home_of(host, DriverKind::overlay2)->open(writable).root, "gone since");
  REQUIRE(::unlink(host.path("../daemon.json").c_str()) == 0);
  check_done(host.run({"rollback", "--yes"}));
  Dir layer = home_of(host, DriverKind::aufs)->open(writable).root;
  CHECK(layer.exists(".wh.gone since"));
  CHECK_FALSE(layer.exists("gone since"));
  CHECK(has(host.config(), "aufs"));
  check_done(host.run({"verify"}));
}

TEST_CASE("a lost layer that a damaged record names is no removed one") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run(move_to(DriverKind::fuse_overlayfs)));
  Inventory now = read_inventory(Dir::open(host.root()), DriverKind::fuse_overlayfs, nullptr);
  Dir record = Dir::open(host.path("image/fuse-overlayfs/layerdb/mounts/" + now.mounts.begin()->first));
  std::string parent = record.read("parent");
  record.write_atomic("parent", "damaged", 0644, 0, 0);
  Dir root = Dir::open(host.root()), home = root.sub("fuse-overlayfs");
  LayerId writable = now.mounts.begin()->second.mount_id;
  home.rename(writable, root, "elsewhere");
  Run refused = host.run({"rollback", "--yes"});
  CHECK(refused.code == 1);
  CHECK_MESSAGE(has(message_of(refused), "though the records of fuse-overlayfs name it"), refused.err);
  root.rename("elsewhere", home, writable);
  check_done(host.run({"rollback", "--yes"}));
  check_done(host.run({"verify"}));
}

TEST_CASE("a layer that is in both homes is refused, and neither is deleted") {
  SampleHost host(filesystem("ext4"));
  std::string before = content_of(*home_of(host, DriverKind::overlay2));
  rename_without_hold(host, DriverKind::aufs);
  LayerId writable = writable_of(host, DriverKind::overlay2);
  Dir home = Dir::open(host.path("overlay2"));
  home.sub(writable).make_dir("diff", 0755);
  auto refused = [&] {
    Run back = host.run({"rollback", "--yes"});
    CHECK(back.code == 1);
    CHECK_MESSAGE(has(message_of(back), "is in both homes"), back.err);
  };
  refused();
  // With all of them there, nothing but what is in the new home tells that layers were renamed.
  std::vector<std::string> made{writable};
  for (const DirEntry& entry : home.list())
    if (is_layer_id(entry.name) && !home.sub(entry.name).exists("diff")) {
      home.sub(entry.name).make_dir("diff", 0755);
      made.push_back(entry.name);
    }
  CHECK(made.size() == 5);
  refused();
  for (const std::string& id : made) home.sub(id).remove_dir("diff");
  check_done(host.run({"rollback", "--yes"}));
  CHECK(content_of(*home_of(host, DriverKind::overlay2)) == before);
}

TEST_CASE("records that an engine has made anew are no word on what was removed") {
  SampleHost host(filesystem("ext4"));
  std::string before = content_of(*home_of(host, DriverKind::overlay2));
  check_done(host.run(move_to(DriverKind::fuse_overlayfs)));
  Dir root = Dir::open(host.root()), image = root.sub("image");
  auto refused = [&](const char* why) {
    Run back = host.run({"rollback", "--yes"});
    CHECK(back.code == 1);
    CHECK_MESSAGE(has(message_of(back), why), back.err);
    CHECK(host.state() == MigrationState::switched);
  };
  root.rename("fuse-overlayfs", root, "aside");
  image.rename("fuse-overlayfs", root, "aside-image");
  refused("was it moved? Restore it");
  for (const char* made :
       {"fuse-overlayfs", "image/fuse-overlayfs/layerdb/sha256", "image/fuse-overlayfs/layerdb/mounts",
        "image/fuse-overlayfs/imagedb/content/sha256"})
    root.make_path(made, 0710);
  refused("were home and records moved");
  root.remove_tree("fuse-overlayfs");
  image.remove_tree("fuse-overlayfs");
  root.rename("aside", root, "fuse-overlayfs");
  root.rename("aside-image", image, "fuse-overlayfs");
  check_done(host.run({"rollback", "--yes"}));
  CHECK(content_of(*home_of(host, DriverKind::overlay2)) == before);
}

TEST_CASE("a damaged list, and a directory that is immutable, are found before anything is on hold") {
  SampleHost host(filesystem("ext4"));
  bring_to(host, DriverKind::aufs);
  check_done(host.run(move_to(DriverKind::overlay2)));
  std::string config = host.config();
  auto refused = [&](const char* why) {
    Run back = host.run({"rollback", "--yes"});
    CHECK(back.code == 1);
    CHECK_MESSAGE(has(message_of(back), why), back.err);
    CHECK(host.state() == MigrationState::switched);
    CHECK(host.config() == config);
  };
  LayerId writable = writable_of(host, DriverKind::overlay2);
  Dir lists = Dir::open(host.migration() + "/renames/others");
  std::string list = lists.read(writable);
  lists.write_atomic(writable, "l", 0600, 0, 0);
  refused("is no list of marks");
  lists.write_atomic(writable, list, 0600, 0, 0);
  Dir frame = Dir::open(host.path("overlay2/" + writable));
  auto set_flags = [&](int flags) { REQUIRE(::ioctl(frame.fd(), FS_IOC_SETFLAGS, &flags) == 0); };
  int before = 0;
  REQUIRE(::ioctl(frame.fd(), FS_IOC_GETFLAGS, &before) == 0);
  set_flags(before | FS_IMMUTABLE_FL);
  refused("chattr -i -a");
  set_flags(before);
  Fd file(::open((host.root() + "/../daemon.json").c_str(), O_RDONLY | O_CLOEXEC));
  int flags = before | FS_IMMUTABLE_FL;
  if (::ioctl(file.get(), FS_IOC_SETFLAGS, &flags) == 0) {
    refused("cannot replace the engine's configuration");
    REQUIRE(::ioctl(file.get(), FS_IOC_SETFLAGS, &before) == 0);
  } else {
    MESSAGE("SKIP: an immutable configuration: its filesystem knows no flags");
  }
  check_done(host.run({"rollback", "--yes"}));
}
