// Damage that very many images and containers need: told of in bounded memory, and left behind with all of
// them.
#include <doctest/doctest.h>

#include <algorithm>

#include "migrate/left_behind.hpp"
#include "migrate/survey.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr std::size_t kManyImages = 50, kManyBoxes = 30;

struct ManyFixture : StoreFixture {
  ManyFixture() {
    for (std::size_t i = 0; i < kManyImages; ++i)
      root.add_image("many:" + std::to_string(i), top, "/" + std::to_string(i));
    for (std::size_t i = 0; i < kManyBoxes; ++i) {
      std::string id = root.add_container("box" + std::to_string(i), app_image, {}, "");
      home.ids.insert(root.mount(id).mount_id);
      home.ids.insert(*root.mount(id).init_id);
    }
  }
};

}  // namespace

TEST_CASE("a problem names some of those that it concerns, and how many more there are") {
  ManyFixture fixture;
  for (const Digest& chain : {fixture.base, fixture.app, fixture.top})
    fixture.tree.write(fixture.layer(chain, "size"), "many");
  Inventory inventory = fixture.read();
  std::size_t parts = 0, damaged = 0;
  for (const StoreProblem& problem : inventory.problems) {
    if (!problem.fatal) continue;
    ++damaged;
    CHECK(problem.concerns.size() == kMostConcerned + 1);
    CHECK(problem.concerns.back().starts_with("and "));
    CHECK(problem.concerns.back().ends_with(" more"));
    for (const auto& [part, name] : problem.parts) parts += part.kind != Part::Kind::layer;
  }
  CHECK(damaged == 3);
  // Each once, though each of them needs two or three of the damaged layers.
  CHECK(parts == kManyImages + kManyBoxes + 4);
  CHECK(std::any_of(inventory.problems.begin(), inventory.problems.end(),
                    [](const StoreProblem& problem) { return is_concerned(problem, "many:49"); }));
  FactsOfLayers facts;
  for (const LayerId& id : fixture.home.ids) facts[id].stack = {id};
  leave_behind(inventory, facts, inventory.problems);
  CHECK(inventory.images.size() == 1);
  CHECK(inventory.containers.size() == 1);
}

TEST_CASE("each that needs damage is counted once, also where two have one name") {
  for (const char* name : {"/aaa", "/zzz"}) {  // among those that are named, or not
    CAPTURE(name);
    StoreFixture fixture;
    std::size_t boxes = 30;
    for (std::size_t i = 0; i < boxes; ++i) {
      std::string box = "box" + std::to_string(i),
                  id = fixture.root.add_container(box, fixture.other_image, {}, "");
      // An engine gives no name twice; a damaged record may say anything.
      if (i < 2)
        fixture.replace(fixture.container(id, "config.v2.json"), "\"/" + box + "\"",
                        "\"" + std::string(name) + "\"");
    }
    fixture.tree.write(fixture.layer(fixture.other, "size"), "many");
    Inventory inventory = fixture.read();
    auto damaged = std::find_if(inventory.problems.begin(), inventory.problems.end(),
                                [](const StoreProblem& problem) { return is_concerned(problem, "other:1"); });
    REQUIRE(damaged != inventory.problems.end());
    REQUIRE(damaged->concerns.size() == kMostConcerned + 1);
    // With the image, and the container that is there without these.
    CHECK(damaged->concerns.back() == "and " + std::to_string(boxes + 2 - kMostConcerned) + " more");
  }
}

TEST_CASE("of those that stand on a layer, as many are named") {
  ManyFixture fixture;
  Inventory inventory = fixture.read();
  auto dependents = find_dependents(inventory);
  const auto& of_app = dependents.at(fixture.root.layer(fixture.app).cache_id);
  REQUIRE(of_app.size() == kMostConcerned + 1);
  CHECK(of_app.back() == "and " + std::to_string(kManyImages + kManyBoxes + 3 - kMostConcerned) + " more");
}
