// What a migration that keeps going leaves behind: what is damaged, all that needs it, and nothing else.
#include "migrate/left_behind.hpp"

#include <doctest/doctest.h>

#include "migrate/left_out.hpp"
#include "migrate/record_damage.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr const char* kCacheId = "abcdefghijklmnopqrstuvwxy";  // as BuildKit names its layers

/// The fixture's store, and what its layers stand on under a driver of deltas or of trees.
struct LeaveFixture : StoreFixture {
  LayerForm form = LayerForm::delta;
  FactsOfLayers facts;
  Inventory inventory;

  void look() {
    inventory = read();
    facts.clear();
    for (const LayerId& layer : home.ids) facts[layer].stack = {layer};
    if (form == LayerForm::tree) return;
    add(id(app), {id(base)});
    add(id(top), {id(app), id(base)});
    add(init(worker), {id(app), id(base)});
    add(writable(worker), {init(worker), id(app), id(base)});
    add(init(idle), {id(other)});
    add(writable(idle), {init(idle), id(other)});
  }
  void add(const LayerId& layer, const std::vector<LayerId>& below) {
    if (auto found = facts.find(layer); found != facts.end())
      found->second.stack.insert(found->second.stack.end(), below.begin(), below.end());
  }
  LayerId id(const Digest& chain) const { return root.layer(chain).cache_id; }
  LayerId init(const std::string& container) const { return *root.mount(container).init_id; }
  LayerId writable(const std::string& container) const { return root.mount(container).mount_id; }

  void leave() { leave_behind(inventory, facts, inventory.problems); }
  void leave(const LayerId& layer) {
    facts.erase(layer);
    leave_behind(inventory, facts, {{"it is broken", {}, true, {}, LayerOwners(inventory).of(layer)}});
  }

  /// All that is left behind, one a line.
  std::string left() const {
    std::string lines;
    for (const auto& [part, what] : inventory.left)
      if (part.kind == Part::Kind::layer)
        lines += "layer " + name_of(part.id) + "\n";
      else
        lines += describe(part, what) + "\n";
    return lines;
  }
  std::string name_of(const Digest& chain) const {
    return chain == base ? "base" : chain == app ? "app" : chain == top ? "top" : "other";
  }
  /// What must be gone with the layer `app`.
  std::string all_on_app() const {
    std::string layers = app < top ? "layer app\nlayer top\n" : "layer top\nlayer app\n";
    std::string untagged = "image " + short_id(untagged_image) + "\n", tagged = "image app:latest\n";
    return layers + (untagged_image < app_image ? untagged + tagged : tagged + untagged) +
           "container worker\n";
  }
  void check_rest_without_app() const {
    CHECK(inventory.layers.size() == 2);
    CHECK(inventory.images.size() == 2);
    CHECK(inventory.images.contains(base_image));
    CHECK(inventory.images.contains(other_image));
    CHECK(inventory.containers.size() == 1);
    CHECK(inventory.mounts.size() == 1);
    CHECK(inventory.mounts.contains(idle));
    for (const LayerId& gone : {id(top), init(worker), writable(worker)}) CHECK_FALSE(facts.contains(gone));
    for (const LayerId& there : {id(base), id(other), init(idle), writable(idle)})
      CHECK(facts.contains(there));
  }
};

}  // namespace

TEST_CASE("nothing is left behind of a sound store") {
  LeaveFixture fixture;
  fixture.look();
  std::size_t layers = fixture.facts.size();
  fixture.leave();
  CHECK(fixture.left() == "");
  CHECK(fixture.inventory.layers.size() == 4);
  CHECK(fixture.inventory.images.size() == 4);
  CHECK(fixture.inventory.containers.size() == 2);
  CHECK(fixture.facts.size() == layers);
}

TEST_CASE("with a layer goes all that stands on it, and nothing that it stands on") {
  LeaveFixture fixture;
  SUBCASE("its files are gone") {
    fixture.home.ids.erase(fixture.id(fixture.app));
    fixture.look();
    fixture.leave();
  }
  SUBCASE("its files are gone, as trees") {
    fixture.form = LayerForm::tree;
    fixture.home.ids.erase(fixture.id(fixture.app));
    fixture.look();
    fixture.leave();
  }
  SUBCASE("its record is gone") {
    fixture.remove(fixture.layer(fixture.app, ""));
    fixture.look();
    fixture.leave();
  }
  SUBCASE("its record is broken") {
    fixture.tree.write(fixture.layer(fixture.app, "size"), "many");
    fixture.look();
    fixture.leave();
  }
  SUBCASE("its chain ID does not follow from its parent") {
    fixture.tree.write(fixture.layer(fixture.app, "diff"), "sha256:" + fixture.other);
    fixture.look();
    fixture.leave();
  }
  SUBCASE("it is its own ancestor") {
    fixture.tree.write(fixture.layer(fixture.app, "parent"), "sha256:" + fixture.top);
    fixture.look();
    fixture.leave();
  }
  SUBCASE("it was found later, in the home") {
    fixture.look();
    fixture.leave(fixture.id(fixture.app));
  }
  SUBCASE("it was found later, among trees") {
    fixture.form = LayerForm::tree;
    fixture.look();
    fixture.leave(fixture.id(fixture.app));
  }
  SUBCASE("it has no tar-split") {
    fixture.remove(fixture.layer(fixture.app, "tar-split.json.gz"));
    fixture.look();
    std::vector<StoreProblem> problems = unprovable_layers(fixture.inventory);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].concerns.size() == 3);
    leave_behind(fixture.inventory, fixture.facts, problems);
  }
  CHECK(fixture.left() == fixture.all_on_app());
  fixture.check_rest_without_app();
}

TEST_CASE("each part that is left behind says for which damage, and which files are its own") {
  LeaveFixture fixture;
  fixture.look();
  fixture.leave(fixture.id(fixture.app));
  for (const auto& [part, what] : fixture.inventory.left) CHECK(what.why == "it is broken");
  const LeftBehind& left = fixture.inventory.left;
  CHECK(left.at({Part::Kind::layer, fixture.app}).files == std::vector{fixture.id(fixture.app)});
  CHECK(left.at({Part::Kind::container, fixture.worker}).files.size() == 2);
  CHECK(left.at({Part::Kind::image, fixture.app_image}).files.empty());
}

TEST_CASE("files that only damaged records name are known, unless what stays needs them") {
  LeaveFixture fixture;
  fixture.tree.write(fixture.layer(fixture.app, "size"), "many");
  SUBCASE("nobody else names them") {
    fixture.look();
    fixture.leave();
    const LeftBehind& left = fixture.inventory.left;
    CHECK(left.at({Part::Kind::layer, fixture.app}).files == std::vector{fixture.id(fixture.app)});
    CHECK(left.at({Part::Kind::layer, fixture.top}).files == std::vector{fixture.id(fixture.top)});
    CHECK(left.at({Part::Kind::container, fixture.worker}).files.size() == 2);
  }
  SUBCASE("a sound record names them, too") {
    fixture.tree.write(fixture.layer(fixture.app, "cache-id"), fixture.id(fixture.other));
    fixture.look();
    fixture.leave();
    CHECK(fixture.inventory.left.at({Part::Kind::layer, fixture.app}).files.empty());
    CHECK(fixture.facts.contains(fixture.id(fixture.other)));
  }
}

TEST_CASE("a container goes alone") {
  LeaveFixture fixture;
  std::string name = "worker";
  SUBCASE("its configuration is cut off") {
    std::string file = fixture.container(fixture.worker, "config.v2.json");
    fixture.tree.write(file, fixture.tree.read(file).substr(0, 100));
    fixture.look();
    fixture.leave();
    name = short_id(fixture.worker);  // nothing tells its name any more
  }
  SUBCASE("its configuration is gone") {
    fixture.remove(fixture.container(fixture.worker, "config.v2.json"));
    fixture.look();
    fixture.leave();
    name = short_id(fixture.worker);
  }
  SUBCASE("its init layer is gone") {
    fixture.home.ids.erase(fixture.init(fixture.worker));
    fixture.look();
    fixture.leave();
  }
  SUBCASE("its writable layer has no record") {
    fixture.remove(fixture.mount(fixture.worker, ""));
    fixture.look();
    fixture.leave();
  }
  SUBCASE("its writable layer cannot be read") {
    fixture.look();
    fixture.leave(fixture.writable(fixture.worker));
  }
  CHECK(fixture.left() == "container " + name + "\n");
  CHECK(fixture.inventory.layers.size() == 4);
  CHECK(fixture.inventory.images.size() == 4);
  CHECK(fixture.inventory.containers.size() == 1);
}

TEST_CASE("where two records name one layer, neither is passed off as good") {
  LeaveFixture fixture;
  fixture.look();
  std::string one = fixture.inventory.mounts.at(fixture.worker).mount_id;
  fixture.inventory.mounts.at(fixture.idle).mount_id = one;
  SUBCASE("the one's record is to blame") {
    leave_behind(fixture.inventory, fixture.facts,
                 {{"it is broken", {}, true, {}, {{{Part::Kind::container, fixture.worker}, "worker"}}}});
  }
  SUBCASE("the other's") {
    leave_behind(fixture.inventory, fixture.facts,
                 {{"it is broken", {}, true, {}, {{{Part::Kind::container, fixture.idle}, "idle"}}}});
  }
  CHECK(fixture.inventory.left.size() == 2);
  CHECK(fixture.inventory.left.contains({Part::Kind::container, fixture.worker}));
  CHECK(fixture.inventory.left.contains({Part::Kind::container, fixture.idle}));
  CHECK(fixture.inventory.containers.empty());
  CHECK_FALSE(fixture.facts.contains(one));
}

TEST_CASE("a layer that cannot be read and that nothing sound needs is left behind, too") {
  LeaveFixture fixture;
  fixture.look();
  // Its image's configuration is cut off, and the survey could not read it: no problem names it.
  fixture.inventory.images.erase(fixture.inventory.images.begin(), fixture.inventory.images.end());
  fixture.facts.erase(fixture.id(fixture.top));
  leave_behind(fixture.inventory, fixture.facts, {});
  CHECK(fixture.left() == "layer top\n");
}

TEST_CASE("an image whose configuration is damaged goes without its layers and containers") {
  LeaveFixture fixture;
  fixture.tree.write(fixture.image(fixture.app_image), "{}");
  fixture.look();
  fixture.leave();
  CHECK(fixture.left() == "image app:latest\n");
  CHECK(fixture.inventory.layers.size() == 4);
  CHECK(fixture.inventory.containers.size() == 2);
  CHECK(fixture.inventory.images.size() == 3);
}

TEST_CASE("a tag whose image is gone goes, too") {
  LeaveFixture fixture;
  fixture.remove(fixture.image(fixture.base_image));
  fixture.look();
  REQUIRE(fixture.inventory.problems.size() == 1);
  CHECK_FALSE(fixture.inventory.problems[0].fatal);
  CHECK(fixture.inventory.problems[0].parts.size() == 1);
  fixture.leave();
  CHECK(fixture.left() == "image base:1\n");
  CHECK(fixture.inventory.layers.size() == 4);
}

TEST_CASE("damage that costs nobody anything leaves nothing behind") {
  LeaveFixture fixture;
  fixture.tree.write(fixture.image(fixture.untagged_image), "{}");
  fixture.look();
  CHECK(fixture.inventory.problems.size() == 1);
  fixture.leave();
  CHECK(fixture.left() == "");
}

TEST_CASE("tags that cannot be read are no part of a store") {
  LeaveFixture fixture;
  fixture.tree.write("/image/overlay2/repositories.json", "{");
  fixture.look();
  REQUIRE(fixture.inventory.problems.size() == 1);
  CHECK(fixture.inventory.problems[0].fatal);
  CHECK(fixture.inventory.problems[0].parts.empty());
}

TEST_CASE("a container without hostconfig.json is named, and carried as the engine shows it") {
  LeaveFixture fixture;
  fixture.remove(fixture.container(fixture.worker, "hostconfig.json"));
  fixture.look();
  REQUIRE(fixture.inventory.problems.size() == 1);
  CHECK(fixture.inventory.problems[0].what.starts_with("container worker has no hostconfig.json"));
  fixture.leave();
  CHECK(fixture.left() == "");
  CHECK(fixture.inventory.containers.size() == 2);
}

TEST_CASE("a layer that no record names costs what stands on it") {
  LeaveFixture fixture;
  LayerId stray(64, 'e');
  fixture.look();
  fixture.add(fixture.id(fixture.app), {stray});  // and it is not there
  fixture.leave();
  CHECK(fixture.left() == fixture.all_on_app());
  CHECK(fixture.inventory.left.at({Part::Kind::image, fixture.app_image}).why ==
        "layer eeeeeeeeeeee is missing in the driver's home");
}

TEST_CASE("the build cache is one part") {
  LeaveFixture fixture;
  fixture.home.ids.insert(kCacheId);
  fixture.look();
  const Part cache{Part::Kind::build_cache, ""};
  SUBCASE("one of its layers stands on a damaged one") {
    fixture.add(kCacheId, {fixture.id(fixture.other)});
    fixture.leave(fixture.id(fixture.other));
    CHECK(fixture.left() == "layer other\nimage other:1\ncontainer idle\nthe build cache\n");
    CHECK(fixture.inventory.left.at(cache).files == std::vector<LayerId>{kCacheId});
    CHECK_FALSE(fixture.facts.contains(kCacheId));
  }
  SUBCASE("one of its layers is damaged, which is fatal to nobody else") {
    fixture.facts.erase(kCacheId);
    leave_behind(fixture.inventory, fixture.facts,
                 {{"unreadable", {}, false, {}, LayerOwners(fixture.inventory).of(kCacheId)}});
    CHECK(fixture.left() == "the build cache\n");
  }
  SUBCASE("what an image stands on stays") {
    fixture.add(fixture.id(fixture.base), {kCacheId});
    leave_behind(fixture.inventory, fixture.facts, {{"records", {}, false, {}, {{cache, ""}}}});
    CHECK(fixture.left() == "the build cache\n");
    CHECK(fixture.inventory.left.at(cache).files.empty());
    CHECK(fixture.facts.contains(kCacheId));
  }
}

TEST_CASE("the build cache is left behind where its records name what is") {
  LeaveFixture fixture;
  fixture.look();
  fixture.leave(fixture.id(fixture.app));
  Dir dir = Dir::open(fixture.tree.root());
  CHECK(build_cache_problems(dir, fixture.inventory.left).empty());  // there is none
  fixture.tree.write("/buildkit/cache.db", std::string(5000, 'x') + fixture.id(fixture.base) + "f");
  fixture.tree.write("/buildkit/other", fixture.id(fixture.app));
  CHECK(build_cache_problems(dir, fixture.inventory.left).empty());
  SUBCASE("by cache ID, with other letters around it") {
    fixture.tree.write("/buildkit/snapshots.db", "\1zz" + fixture.id(fixture.app) + "00");
  }
  SUBCASE("by chain ID, across the border of what is read at once") {
    fixture.tree.write("/buildkit/metadata_v2.db",
                       std::string((1 << 20) - 30, '\0') + "sha256:" + fixture.top);
  }
  std::vector<StoreProblem> problems = build_cache_problems(dir, fixture.inventory.left);
  REQUIRE(problems.size() == 1);
  leave_behind(fixture.inventory, fixture.facts, problems);
  CHECK(fixture.inventory.left.contains({Part::Kind::build_cache, ""}));
  CHECK(build_cache_problems(dir, fixture.inventory.left).empty());  // it is left behind already
}

TEST_CASE("tags and digests of what is left behind go, and all others stay as they are") {
  LeftBehind left;
  Digest gone(64, 'a'), kept(64, 'b');
  left[{Part::Kind::image, gone}] = {};
  std::string text = R"({"Repositories":{"a":{"a:1":"sha256:)" + gone + R"(","a:2":"sha256:)" + kept +
                     R"("},"z":{"z:1":"sha256:)" + gone + R"("}}})";
  CHECK(repositories_without(text, left) == R"({"Repositories":{"a":{"a:2":"sha256:)" + kept + R"("}}})");
  CHECK(repositories_without(text, {}) == text);
}

TEST_CASE("which records are not copied") {
  LeaveFixture fixture;
  const std::string registry = "/image/overlay2/distribution/";
  Digest pulled(64, '7'), other_pulled(64, '8');
  Digest lost = fixture.root.layer(fixture.app).diff_id, kept = fixture.root.layer(fixture.other).diff_id;
  fixture.tree.write(registry + "diffid-by-digest/sha256/" + pulled, "sha256:" + lost);
  fixture.tree.write(registry + "diffid-by-digest/sha256/" + other_pulled, "sha256:" + kept);
  fixture.look();
  fixture.leave(fixture.id(fixture.app));
  Dir records = Dir::open(fixture.tree.path("/image/overlay2"));
  std::set<std::string> out = left_out_of_image(records, fixture.inventory);
  for (const std::string& path :
       {"layerdb/sha256/" + fixture.app, "layerdb/sha256/" + fixture.top, "layerdb/mounts/" + fixture.worker,
        "imagedb/content/sha256/" + fixture.app_image, "imagedb/metadata/sha256/" + fixture.app_image,
        "distribution/v2metadata-by-diffid/sha256/" + lost, "distribution/diffid-by-digest/sha256/" + pulled})
    CHECK_MESSAGE(out.contains(path), path);
  for (const std::string& path :
       {std::string("layerdb"), "layerdb/sha256/" + fixture.base, "layerdb/mounts/" + fixture.idle,
        "imagedb/content/sha256/" + fixture.other_image, "layerdb/sha256/" + fixture.base + "/diff",
        "distribution/v2metadata-by-diffid/sha256/" + kept,
        "distribution/diffid-by-digest/sha256/" + other_pulled, std::string("repositories.json")})
    CHECK_FALSE_MESSAGE(out.contains(path), path);
  CHECK(left_out_of_containers(fixture.inventory.left) == std::set<std::string>{fixture.worker});
}
