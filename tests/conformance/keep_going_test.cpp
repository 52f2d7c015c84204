// Damage in the source: without --keep-going it is named and nothing moves; with it all else moves, what is
// damaged stays in the old data, and the way back leads to all of it.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "migrate/left_behind.hpp"
#include "migrate/left_behind_record.hpp"
#include "migrate/stage_layer.hpp"
#include "migrate/survey.hpp"
#include "tests/conformance/damage_host.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

namespace {

struct Direction {
  DriverKind from, to;
};
// Each form as source and as target.
constexpr Direction kDirections[] = {{DriverKind::overlay2, DriverKind::vfs},
                                     {DriverKind::vfs, DriverKind::overlay2},
                                     {DriverKind::overlay2, DriverKind::fuse_overlayfs}};

const DamageHost::Kind& kind_named(const std::string& name) {
  for (const DamageHost::Kind& kind : DamageHost::kinds())
    if (kind.name == name) return kind;
  throw std::runtime_error("no kind of damage is " + name);
}

/// The names that a result's or a plan's JSON says are left behind, layers left out.
std::vector<std::string> names_left(const std::string& json) {
  std::vector<std::string> names;
  const nlohmann::json parsed = nlohmann::json::parse(json);
  for (const auto& part : parsed.at("left_behind"))
    if (part.at("kind") != "layer") {
      CHECK(part.at("why") != "");
      names.push_back(part.at("name"));
    }
  std::sort(names.begin(), names.end());
  return names;
}

/// Where the container's own configuration is damaged nothing tells its name.
std::vector<std::string> as_drover_knows_them(const DamageHost& host, std::vector<std::string> names) {
  Inventory now = read_inventory(Dir::open(host.host.root()), host.source, nullptr);
  for (const StoreProblem& problem : now.problems)
    for (std::string& name : names)
      if (name == "worker" && problem.what.starts_with("container ")) name = problem.concerns.at(0);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("keep_going: each kind of damage stays behind with what needs it, and can be gone back to") {
  for (const Direction& way : kDirections)
    for (const DamageHost::Kind& kind : DamageHost::kinds()) {
      DamageHost host(way.from);
      CAPTURE(std::string(driver_name(way.from)));
      CAPTURE(std::string(driver_name(way.to)));
      CAPTURE(std::string(kind.name));
      host.damage(kind);
      std::vector<std::string> names = as_drover_knows_them(host, kind.left);

      // Without --keep-going: compared with the source; a tag that the engine passes over.
      bool carried = std::string(kind.name) == "a tar-split is gone" ||
                     std::string(kind.name) == "an image's configuration is gone";
      Run refused = host.migrate(way.to, {});
      CHECK_MESSAGE(refused.code == (carried ? 0 : kind.found_by_proof ? 12 : 1), refused.err);
      if (kind.found_by_proof || carried) check_done(host.host.run({"rollback", "--yes"}));
      CHECK(host.changes() == "");
      CHECK_FALSE(host.host.exists("drover"));

      Run planned = host.migrate(way.to, {"--keep-going", "--dry-run", "--format", "json"});
      check_done(planned);
      CHECK(names_left(planned.out) == (kind.found_by_proof ? std::vector<std::string>{} : names));
      CHECK(host.changes() == "");

      Run moved = host.migrate(way.to, {"--keep-going", "--format", "json"});
      CHECK_MESSAGE(moved.code == 3, moved.err);
      CHECK(names_left(moved.out.substr(moved.out.rfind("\n{") + 1)) == names);
      host.check_rest(way.to, kind);

      Run kept = host.host.run({"commit", "--yes"});
      CHECK(kept.code == 1);
      CHECK(has(message_of(kept), "drover: nothing was deleted: "));
      CHECK(has(message_of(kept), names[0]));
      CHECK(has(message_of(kept), "--discard-left-behind"));
      host.check_rest(way.to, kind);

      check_done(host.host.run({"rollback", "--yes"}));
      CHECK(host.changes() == "");
      CHECK_FALSE(host.host.exists("drover"));
    }
}

TEST_CASE("keep_going: what is left behind goes with the old data when that is asked for") {
  DamageHost host(DriverKind::overlay2);
  host.damage(kind_named("a flipped byte in a top layer"));
  Run moved = host.migrate(DriverKind::vfs);
  CHECK(moved.code == 3);
  CHECK(has(moved.out, "Left Behind: image sample-app:slim: "));
  CHECK(has(moved.out, "does not have its diff ID: "));
  CHECK(has(moved.out, "drover commit --discard-left-behind"));
  check_done(host.host.run({"commit", "--yes", "--discard-left-behind"}));
  CHECK_FALSE(host.host.exists("drover"));
  CHECK_FALSE(host.host.exists("overlay2"));
  check_done(host.host.run({"verify"}));
}

TEST_CASE("keep_going: a sound store moves as without it") {
  SampleHost host(filesystem("ext4"));
  check_done(host.run({"migrate", "--to", "vfs", "--yes", "--keep-going"}));
  CHECK(host.losses(DriverKind::vfs) == "");
  auto left = read_left_behind(Dir::open(host.migration()));
  REQUIRE(left);
  CHECK(left->empty());
  check_done(host.run({"commit", "--yes"}));
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("keep_going: where the record of what was left behind is lost, nothing is deleted") {
  DamageHost host(DriverKind::overlay2);
  host.damage(kind_named("a layer's files are gone"));
  CHECK(host.migrate(DriverKind::vfs).code == 3);
  std::string record = host.host.migration() + "/left-behind.json";
  SUBCASE("gone") { fs::remove(record); }
  SUBCASE("cut off") { fs::resize_file(record, fs::file_size(record) - 3); }
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"commit", "--yes"}, {"commit", "--yes", "--discard-left-behind"}}) {
    Run refused = host.host.run(words);
    CHECK(refused.code == 1);
    CHECK(has(message_of(refused), "left-behind.json`, is missing or damaged"));
  }
  check_done(host.host.run({"rollback", "--yes"}));
  CHECK(host.changes() == "");
}

TEST_CASE("keep_going: an interrupted one goes on as it began, and decides anew what stays behind") {
  const DamageHost::Kind& kind = kind_named("a flipped byte in a top layer");
  DamageHost host(DriverKind::overlay2);
  host.damage(kind);
  // Ended when the damaged layer was found, before anything says so.
  std::string ended =
      host.host.run_apart({"migrate", "--to", "vfs", "--yes", "--keep-going"}, [](const std::string& line) {
        if (has(line, ": damaged\"")) ::_exit(9);
      });
  CHECK(ended == "killed");
  CHECK(host.host.state() == MigrationState::staging);
  SUBCASE("the damage is still there") {
    Run resumed = host.host.run({"migrate", "--resume", "--yes", "--format", "json"});
    CHECK_MESSAGE(resumed.code == 3, resumed.err);
    auto result = nlohmann::json::parse(resumed.out.substr(resumed.out.rfind("\n{") + 1));
    CHECK(names_left(result.dump()) == kind.left);
    // Each layer that is there was counted once.
    auto home = driver_entry(DriverKind::vfs).open(host.host.path("vfs"), {});
    const auto& counts = result.at("layers");
    CHECK(counts.at("proven").get<std::size_t>() + counts.at("compared").get<std::size_t>() +
              counts.at("of_earlier_run").get<std::size_t>() ==
          home->layers().size());
    Run info = host.host.run({"info", "--no-size"});
    CHECK(has(info.out, " Left Behind: image sample-app:slim: in the old data alone"));
    info = host.host.run({"info", "--no-size", "--format", "json"});
    CHECK(nlohmann::json::parse(info.out).at("migration").at("left_behind") == result.at("left_behind"));
    host.check_rest(DriverKind::vfs, kind);
  }
  SUBCASE("it was repaired since") {
    auto home = driver_entry(DriverKind::overlay2).open(host.host.path("overlay2"), {});
    for (const LayerId& id : home->layers())
      if (auto cache = home->open(id).root.try_walk("opt/cache"); cache && cache->exists("third"))
        REQUIRE(::pwrite(cache->open_file("third", O_WRONLY).get(), "ee: th", 6, 3) == 6);
    Run resumed = host.host.run({"migrate", "--resume", "--yes"});
    CHECK_MESSAGE(resumed.code == 0, resumed.err);
    host.check_rest(DriverKind::vfs, {"none", nullptr, {}});
  }
  check_done(host.host.run({"rollback", "--yes"}));
}

TEST_CASE("keep_going: a switch that was interrupted still says what is left behind") {
  const DamageHost::Kind& kind = kind_named("a container's configuration is cut off");
  DamageHost host(DriverKind::overlay2);
  host.damage(kind);
  CHECK(host.migrate(DriverKind::vfs).code == 3);
  // As if it had been cut between the last rename and the word that says so.
  Journal::open(Dir::open(host.host.migration())).state(MigrationState::switching);
  Run resumed = host.host.run({"migrate", "--resume", "--yes"});
  CHECK_MESSAGE(resumed.code == 3, resumed.err);
  CHECK(has(resumed.out, "Left Behind: container "));
  host.check_rest(DriverKind::vfs, kind);
}

TEST_CASE("keep_going: layers that only --force carries are carried with both") {
  DamageHost host(DriverKind::overlay2);
  const DamageHost::Kind& kind = kind_named("a tar-split is gone");
  host.damage(kind);
  Run moved = host.migrate(DriverKind::vfs, {"--keep-going", "--force"});
  CHECK_MESSAGE(moved.code == 0, moved.err);
  host.check_rest(DriverKind::vfs, {"none", nullptr, {}});
}

TEST_CASE("keep_going: what concerns all images ends it before anything is made") {
  SampleHost host(filesystem("ext4"));
  fs::resize_file(host.path("image/overlay2/repositories.json"), 10);
  Run refused = host.run({"migrate", "--to", "vfs", "--yes", "--keep-going"});
  CHECK(refused.code == 1);
  CHECK(has(message_of(refused),
            "drover: --keep-going cannot leave this behind, since it concerns all images: "
            "repositories.json is no valid JSON\nhint: "));
  CHECK_FALSE(host.exists("drover"));
}

TEST_CASE("keep_going: the build cache stays behind where its records name what does") {
  DamageHost host(DriverKind::overlay2);
  const DamageHost::Kind& kind = kind_named("a flipped byte in a top layer");
  Dir root = Dir::open(host.host.root());
  Inventory records = host.host.inventory();
  Digest slim;
  for (const auto& [id, image] : records.images)
    if (has(display_name(image), "slim")) slim = *image.top;
  Dir cache = root.make_path("buildkit", 0711);
  cache.write_new("metadata_v2.db", "\1sha256:" + slim + "chain", 0600);
  host.damage(kind);
  Run moved = host.migrate(DriverKind::vfs);
  CHECK(moved.code == 3);
  CHECK(has(moved.out, "Left Behind: the build cache: its records name layers that are left behind"));
  CHECK(root.sub("buildkit").list().empty());
  host.check_rest(DriverKind::vfs, kind);
  check_done(host.host.run({"rollback", "--yes"}));
  CHECK(host.changes() == "");
}

TEST_CASE("keep_going: into another data root") {
  DamageHost host(DriverKind::overlay2);
  const DamageHost::Kind& kind = kind_named("a flipped byte in a top layer");
  host.damage(kind);
  TestFolder place(filesystem("xfs"));
  std::string root = place.path() + "/new";
  Run moved = host.host.run({"migrate", "--to-root", root, "--yes", "--keep-going"});
  CHECK_MESSAGE(moved.code == 3, moved.err);
  auto home = driver_entry(DriverKind::overlay2).open(root + "/overlay2", {});
  Inventory now = read_inventory(Dir::open(root), DriverKind::overlay2, home.get());
  CHECK(now.problems.empty());
  CHECK(now.images.size() == 2);
  CHECK(now.containers.size() == 1);
  Run kept = host.host.run({"commit", "--yes"});
  CHECK(kept.code == 1);
  CHECK(has(message_of(kept), "sample-app:slim"));
  check_done(host.host.run({"rollback", "--yes"}));
  CHECK(host.changes() == "");
}

TEST_CASE("keep_going: which side failed is asked of the source alone") {
  DamageHost host(DriverKind::overlay2);
  host.damage(kind_named("a flipped byte in a top layer"));
  Dir root = Dir::open(host.host.root());
  auto source = driver_entry(DriverKind::overlay2).open(host.host.path("overlay2"), {});
  Inventory inventory = read_inventory(root, DriverKind::overlay2, source.get());
  FactsOfLayers facts = survey_layers(root, inventory, *source, 1).facts;
  Plan plan = make_plan(inventory, source->form(), facts, {.kind = DriverKind::vfs, .form = LayerForm::tree});
  root.make_dir("staged", 0700);
  auto target = driver_entry(DriverKind::vfs).open(host.host.path("staged"), {});
  target->make_home();
  LayerStager stager(root, inventory, plan, *source, *target);
  std::size_t damaged = 0;
  for (const PlannedLayer& layer : plan.layers) {
    stager.stage(layer);
    CHECK_THROWS_AS(stager.stage(layer), Error);  // it is there already: the target's fault
    std::string damage = stager.source_damage(layer, false);
    if (damage.empty()) continue;
    ++damaged;
    CHECK(has(damage, "of image sample-app:slim does not have its diff ID: "));
    CHECK(has(damage, "opt/cache/third"));
    CHECK(stager.source_damage(layer, true) == "");  // --force: what can be read is carried
  }
  CHECK(damaged == 1);
  root.remove_tree("staged");
}
