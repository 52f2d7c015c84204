// What a rollback says it gives up, before it asks.
#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "migrate/made_since.hpp"
#include "migrate/migration_folder.hpp"
#include "tests/conformance/renames_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {
using Names = std::vector<std::string>;

MadeSince made_on(const SampleHost& host) {
  DataRoot root{host.root(), "test", true, {}};
  auto folder = MigrationFolder::find(Dir::open(host.root()));
  REQUIRE(folder);
  return made_since_switch(root, *folder);
}

/// A second tag for an image that has one, as `docker tag` gives it.
void tag_as(const SampleHost& host, DriverKind kind, const std::string& tag) {
  Dir records = Dir::open(host.path("image/" + std::string(driver_name(kind))));
  Inventory now = read_inventory(Dir::open(host.root()), kind, nullptr);
  std::string text = records.read("repositories.json"), start = "{\"Repositories\":{";
  REQUIRE(text.starts_with(start));
  text.insert(start.size(), "\"added\":{\"" + tag + "\":\"sha256:" + slim_image(now).id + "\"},");
  records.write_atomic("repositories.json", text, 0600, 0, 0);
}

void check_nothing(const MadeSince& made) {
  for (const Names* names : {&made.containers, &made.images, &made.tags, &made.volumes, &made.removed})
    CHECK(names->empty());
}
}  // namespace

TEST_CASE("where that cannot be told a rollback goes on") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "fuse-overlayfs", "--yes", "--force"}));
  // Something else in the place of the new records.
  Dir records = Dir::open(host.path("image/fuse-overlayfs"));
  records.rename("imagedb", records, "moved");
  records.make_symlink("imagedb", "moved");
  CHECK_THROWS_AS(made_on(host), Error);
  check_done(host.run({"rollback", "--yes"}));
  CHECK(host.damage() == "");
}

TEST_CASE(
    "tags that were given since the switch are named, and what was removed where it has no second copy") {
  for (bool renamed : {false, true}) {
    CAPTURE(renamed);
    SampleHost host(filesystem("ext4"));
    Names words = {"migrate", "--to", "fuse-overlayfs", "--yes", "--force"};
    check_done(host.run(renamed ? move_to(DriverKind::fuse_overlayfs) : words));
    check_nothing(made_on(host));
    Inventory before = read_inventory(Dir::open(host.root()), DriverKind::fuse_overlayfs, nullptr);
    tag_as(host, DriverKind::fuse_overlayfs, "added:1");
    remove_container(host, DriverKind::fuse_overlayfs);
    MadeSince made = made_on(host);
    CHECK(made.tags == Names{"added:1"});
    CHECK(made.containers.empty());
    CHECK(made.images.empty());
    std::string name = display_name(before.containers.begin()->second);
    CHECK(made.removed == (renamed ? Names{"container " + name} : Names{}));
    if (!renamed) continue;
    remove_images(host, DriverKind::fuse_overlayfs);
    CHECK(made_on(host).removed.size() == 1 + before.images.size());
  }
}
