#include "migrate/plan.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// The fixture's layers as a driver of deltas keeps them: 1 MB and ten entries, two of them folders, each.
struct PlanFixture : StoreFixture {
  std::map<LayerId, LayerFacts> facts;
  TargetFacts target;

  PlanFixture() {
    add(id(base), {});
    add(id(app), {id(base)});
    add(id(top), {id(app), id(base)});
    add(id(other), {});
    for (const auto& [container, stack] :
         {std::pair{worker, std::vector{id(app), id(base)}}, std::pair{idle, std::vector{id(other)}}}) {
      const MountRecord& mount = root.mount(container);
      add(*mount.init_id, stack);
      std::vector<LayerId> below = stack;
      below.insert(below.begin(), *mount.init_id);
      add(mount.mount_id, below);
    }
    target.kind = DriverKind::vfs;
    target.form = target.writable_form = LayerForm::tree;
    target.free_bytes = 1 << 30;
    target.free_inodes = 1'000'000;
  }
  LayerId id(const Digest& chain) const { return root.layer(chain).cache_id; }
  LayerId init(const std::string& container) const { return *root.mount(container).init_id; }
  LayerId writable(const std::string& container) const { return root.mount(container).mount_id; }
  void add(const LayerId& layer, std::vector<LayerId> below) {
    below.insert(below.begin(), layer);
    LayerFacts& made = facts[layer];
    made.stack = std::move(below);
    made.entries = 10;
    made.directories = 2;
    made.bytes = 1'000'000;
  }
  Plan plan(LayerForm form = LayerForm::delta) const {
    std::map<LayerId, LayerFacts> as_kept = facts;
    if (form == LayerForm::tree)
      for (auto& [layer, fact] : as_kept) fact.stack.resize(1);  // a tree stands on nothing
    return make_plan(read(), form, as_kept, target);
  }
};

const PlannedLayer& layer_of(const Plan& plan, const LayerId& id) {
  auto found = std::find_if(plan.layers.begin(), plan.layers.end(), [&](auto& l) { return l.id == id; });
  REQUIRE(found != plan.layers.end());
  return *found;
}

bool has_note(const Plan& plan, const std::string& part) {
  return std::any_of(plan.notes.begin(), plan.notes.end(),
                     [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("every layer is planned once, parents first, and knows its part") {
  PlanFixture fixture;
  for (LayerForm form : {LayerForm::delta, LayerForm::tree}) {
    Plan plan = fixture.plan(form);
    CHECK(plan.layers.size() == 8);
    CHECK(plan.images == 4);
    CHECK(plan.tags == 5);
    CHECK(plan.containers == 2);
    CHECK(plan.bytes == 8'000'000);
    CHECK(plan.orphans.empty());
    CHECK(plan.notes.empty());
    std::set<LayerId> seen;
    for (const PlannedLayer& layer : plan.layers) {
      if (layer.parent) CHECK(seen.contains(*layer.parent));
      CHECK(seen.insert(layer.id).second);
    }
    const PlannedLayer& app = layer_of(plan, fixture.id(fixture.app));
    CHECK(app.role == LayerRole::image);
    CHECK(app.immutable());
    CHECK(app.parent == fixture.id(fixture.base));
    CHECK(app.chain_id == fixture.app);
    CHECK(app.serves == std::vector<std::string>{"image app:latest"});
    CHECK(app.head);
    const PlannedLayer& init = layer_of(plan, fixture.init(fixture.worker));
    CHECK(init.role == LayerRole::init);
    CHECK_FALSE(init.immutable());
    CHECK(init.parent == fixture.id(fixture.app));
    CHECK(init.head);
    const PlannedLayer& writable = layer_of(plan, fixture.writable(fixture.worker));
    CHECK(writable.role == LayerRole::writable);
    CHECK(writable.parent == fixture.init(fixture.worker));
    CHECK(writable.serves == std::vector<std::string>{"container worker"});
  }
}

TEST_CASE("the same plan comes of the same facts") {
  PlanFixture fixture;
  Plan one = fixture.plan(), two = fixture.plan();
  REQUIRE(one.layers.size() == two.layers.size());
  for (std::size_t i = 0; i < one.layers.size(); ++i) CHECK(one.layers[i].id == two.layers[i].id);
  CHECK(one.needed_bytes == two.needed_bytes);
}

TEST_CASE("a layer that only others stand on is no head") {
  PlanFixture fixture;
  Digest lone = fixture.root.add_layer(fixture.top, {file("x", "x")});
  Digest head = fixture.root.add_layer(lone, {file("y", "y")});
  fixture.root.add_image("head:1", head, "/y");
  for (const Digest& chain : {lone, head}) fixture.home.ids.insert(fixture.id(chain));
  fixture.add(fixture.id(lone), {fixture.id(fixture.top), fixture.id(fixture.app), fixture.id(fixture.base)});
  fixture.add(fixture.id(head),
              {fixture.id(lone), fixture.id(fixture.top), fixture.id(fixture.app), fixture.id(fixture.base)});
  Plan plan = fixture.plan();
  CHECK_FALSE(layer_of(plan, fixture.id(lone)).head);
  CHECK(layer_of(plan, fixture.id(head)).head);
}

TEST_CASE("orphans are left behind and told of, build cache comes along") {
  PlanFixture fixture;
  LayerId orphan(64, 'f'), cache(25, 'k'), below(25, 'j');
  fixture.add(orphan, {fixture.id(fixture.base)});
  fixture.add(cache, {below, fixture.id(fixture.base)});
  fixture.add(below, {fixture.id(fixture.base)});
  Plan plan = fixture.plan();
  CHECK(plan.orphans == std::vector<LayerId>{orphan});
  CHECK(has_note(plan, "1 layers in the driver's home belong to no image and no container"));
  CHECK(layer_of(plan, cache).role == LayerRole::build_cache);
  CHECK(layer_of(plan, cache).parent == below);
  CHECK_FALSE(layer_of(plan, cache).immutable());
  CHECK(has_note(plan, "the build cache comes along: 2 layers"));
  CHECK(plan.bytes == 10'000'000);
}

TEST_CASE("what a delta stands on comes along though no record names it") {
  PlanFixture fixture;
  LayerId unknown(64, 'e');
  fixture.add(unknown, {});
  fixture.add(fixture.id(fixture.other), {unknown});
  Plan plan = fixture.plan();
  CHECK(layer_of(plan, fixture.id(fixture.other)).parent == unknown);
  CHECK(layer_of(plan, unknown).role == LayerRole::build_cache);
  CHECK(plan.orphans.empty());
}

TEST_CASE("layers that stand on each other in a circle are an error") {
  PlanFixture fixture;
  fixture.add(fixture.id(fixture.base), {fixture.id(fixture.top)});
  CHECK_THROWS_WITH_AS(fixture.plan(),
                       "the layers stand on each other in a circle, or on a layer that is missing", Error);
  CHECK_NOTHROW(fixture.plan(LayerForm::tree));
}

TEST_CASE("a layer without files is an error, a mount's record without them is passed over") {
  PlanFixture fixture;
  Inventory inventory = fixture.read();
  inventory.mounts.emplace("stray", MountRecord{"stray", LayerId(64, 'd'), std::nullopt, fixture.base});
  CHECK(make_plan(inventory, LayerForm::tree, fixture.facts, fixture.target).layers.size() == 8);
  fixture.facts.erase(fixture.id(fixture.app));
  CHECK_THROWS_WITH_AS(make_plan(inventory, LayerForm::tree, fixture.facts, fixture.target),
                       ("layer " + fixture.id(fixture.app) + " is missing in the driver's home").c_str(),
                       Error);
}

TEST_CASE("the estimate knows what is shared") {
  PlanFixture fixture;
  auto needed = [&](LayerForm form, bool links, bool reflink, bool snapshots) {
    fixture.target.form = fixture.target.writable_form = form;
    fixture.target.links = links;
    fixture.target.reflink = reflink;
    fixture.target.snapshots = snapshots;
    return fixture.plan();
  };
  // Shown in all: base 1, app 2, top 3, other 1; worker's init 3 and writable 4, idle's 2 and 3: 19 MB.
  Plan copies = needed(LayerForm::tree, false, false, false);
  CHECK(copies.needed_bytes > 19'000'000);
  CHECK(copies.needed_inodes > 190);
  // Links save the images' seven; the containers' twelve are copied.
  Plan links = needed(LayerForm::tree, true, false, false);
  CHECK(copies.needed_bytes - links.needed_bytes >= 7'000'000);
  CHECK(links.needed_bytes > 12'000'000);
  CHECK(copies.needed_inodes - links.needed_inodes == 7 * (10 - 2));
  Plan reflinks = needed(LayerForm::tree, false, true, false);
  CHECK(links.needed_bytes - reflinks.needed_bytes > 11'000'000);
  CHECK(reflinks.needed_inodes == copies.needed_inodes);
  // A delta, and a tree that starts as a snapshot, hold the layers' own eight.
  Plan deltas = needed(LayerForm::delta, false, false, false);
  Plan snapshots = needed(LayerForm::tree, false, false, true);
  CHECK(deltas.needed_bytes == snapshots.needed_bytes);
  CHECK(copies.needed_bytes - deltas.needed_bytes >= 11'000'000);
  fixture.target.record_bytes = 5'000;
  fixture.target.record_inodes = 7;
  Plan with_records = needed(LayerForm::delta, false, false, false);
  CHECK(with_records.needed_bytes == deltas.needed_bytes + 5'000);
  CHECK(with_records.needed_inodes == deltas.needed_inodes + 7);
}

TEST_CASE("in another data root image layers share among themselves, not with the source") {
  PlanFixture fixture;
  fixture.target.form = fixture.target.writable_form = LayerForm::tree;
  fixture.target.links = false;
  Plan apart = fixture.plan();
  fixture.target.shared_trees = true;
  Plan shared = fixture.plan();
  CHECK_FALSE(shared.links);
  CHECK(shared.image_transfer == Transfer::copies);
  // Of the images' seven (base 1, app 2, top 3, other 1) only what is their own: four.
  CHECK(apart.needed_bytes - shared.needed_bytes > 2'900'000);
  CHECK(shared.needed_bytes > 16'000'000);
}

TEST_CASE("from a tree, a layer's own part is what it has more than its parent") {
  PlanFixture fixture;
  fixture.target.form = fixture.target.writable_form = LayerForm::delta;
  fixture.target.links = false;
  std::uint64_t before = fixture.plan(LayerForm::tree).needed_bytes;
  fixture.facts.at(fixture.id(fixture.app)).bytes += 500'000;
  std::uint64_t more = fixture.plan(LayerForm::tree).needed_bytes;
  CHECK(more == before + 500'000);
  // Smaller than its parent is no less than nothing.
  fixture.facts.at(fixture.id(fixture.app)).bytes = 0;
  CHECK(fixture.plan(LayerForm::tree).needed_bytes >= before);
}

TEST_CASE("it fits to the last byte and the last inode") {
  PlanFixture fixture;
  Plan plan = fixture.plan();
  fixture.target.free_bytes = plan.needed_bytes;
  fixture.target.free_inodes = plan.needed_inodes;
  CHECK(fixture.plan().fits());
  --fixture.target.free_bytes;
  CHECK_FALSE(fixture.plan().fits());
  ++fixture.target.free_bytes;
  --fixture.target.free_inodes;
  CHECK_FALSE(fixture.plan().fits());
  fixture.target.counts_inodes = false;
  CHECK(fixture.plan().fits());
}

TEST_CASE("how the data get across is told in words") {
  PlanFixture fixture;
  auto ways = [&](bool links, bool reflink, bool snapshots) {
    fixture.target.links = links;
    fixture.target.reflink = reflink;
    fixture.target.snapshots = snapshots;
    Plan plan = fixture.plan();
    return std::string(transfer_name(plan.image_transfer)) + ", " +
           std::string(transfer_name(plan.container_transfer));
  };
  CHECK(ways(true, false, false) == "hard links, copies");
  CHECK(ways(true, true, false) == "hard links, reflinks");
  CHECK(ways(false, true, true) == "reflinks, reflinks");
  CHECK(ways(false, false, true) == "copies, copies");
}

TEST_CASE("what cannot be kept is told of") {
  PlanFixture fixture;
  Inventory inventory = fixture.read();
  inventory.containers.at(fixture.worker).size_limit = "20M";
  inventory.foreign_containers.push_back({});
  inventory.problems.push_back({"a stray record", {}, false});
  inventory.problems.push_back({"a fatal one is not for notes", {}, true});
  Plan plan = make_plan(inventory, LayerForm::delta, fixture.facts, fixture.target);
  CHECK(plan.notes == std::vector<std::string>{
                          "container worker: its size limit (20M) is not carried to vfs",
                          "1 containers are of another driver and stay as they are, hidden from the engine",
                          "a stray record"});
}

TEST_CASE("flags of chattr are counted, since nothing carries them") {
  PlanFixture fixture;
  CHECK_FALSE(has_note(fixture.plan(), "chattr"));
  fixture.facts.begin()->second.protected_entries = 2;
  fixture.facts.rbegin()->second.protected_entries = 3;
  CHECK(has_note(fixture.plan(), "5 files or folders are immutable or append-only (chattr +i, +a)"));
}

TEST_CASE("a layer is described by its part and whom it serves") {
  PlannedLayer layer{LayerId(64, 'a'), std::nullopt, LayerRole::image, Digest(64, 'c'), {}, false};
  CHECK(describe(layer) == "image layer cccccccccccc");
  layer.serves = {"image app:1"};
  CHECK(describe(layer) == "image layer cccccccccccc of image app:1");
  layer.serves.push_back("image b:1");
  layer.role = LayerRole::writable;
  CHECK(describe(layer) == "writable layer aaaaaaaaaaaa of image app:1 and 1 more");
  layer.role = LayerRole::init;
  layer.serves.clear();
  CHECK(describe(layer) == "init layer aaaaaaaaaaaa");
  layer.id = LayerId(25, 'k');
  layer.role = LayerRole::build_cache;
  CHECK(describe(layer) == "build cache layer " + layer.id);
}

TEST_CASE("a plan from which a layer was taken shows what stood below it as a whole") {
  PlanFixture fixture;
  fixture.root.tag("top:1", fixture.untagged_image);
  Inventory inventory = fixture.read();
  inventory.images.erase(fixture.app_image);  // nothing but what is on it shows `app`
  inventory.containers.erase(fixture.worker);
  inventory.mounts.erase(fixture.worker);
  for (const LayerId& id : {fixture.init(fixture.worker), fixture.writable(fixture.worker)})
    fixture.facts.erase(id);
  Plan plan = make_plan(inventory, LayerForm::delta, fixture.facts, fixture.target);
  CHECK_FALSE(layer_of(plan, fixture.id(fixture.app)).head);
  std::size_t layers = plan.layers.size();
  PlannedLayer gone = layer_of(plan, fixture.id(fixture.top));
  plan.notes = {describe(gone) + ": odd", "something else"};
  inventory.layers.erase(fixture.top);
  inventory.images.erase(fixture.untagged_image);
  fixture.facts.erase(fixture.id(fixture.top));
  CHECK(reduce_plan(plan, inventory, fixture.facts) == std::vector{fixture.id(fixture.app)});
  CHECK(plan.layers.size() == layers - 1);
  CHECK(layer_of(plan, fixture.id(fixture.app)).head);
  CHECK(plan.images == 2);
  CHECK(plan.containers == 1);
  CHECK(plan.tags == 2);
  CHECK(plan.notes == std::vector<std::string>{"something else"});
}
