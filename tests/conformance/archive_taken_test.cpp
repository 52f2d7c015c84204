// Import where something is in the place of a record that it brings: damage, what an engine has made in
// between, and names that were given since.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/clone_tree.hpp"
#include "drivers/sys/sha256.hpp"
#include "drivers/zfs_command.hpp"
#include "drivers/zfs_parent.hpp"
#include "migrate/archive/incoming_store.hpp"
#include "tests/conformance/archive_host.hpp"
#include "tests/conformance/sample_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr const char *kConfigs = "/imagedb/content/sha256", *kLayers = "/layerdb/sha256";

/// The sample's archive, and one of its lowest image alone, which has one layer.
struct Archives : ArchivedSample {
  std::string base = host.beside("base");
  Archives() { check_done(host.run({"export", "sample-base:1", "-o", base})); }
};

/// A host under a driver, into which the sample is to be imported.
struct Taker : ArchiveHost {
  DriverKind kind;
  explicit Taker(DriverKind driver, const TestFilesystem& on = filesystem("ext4"))
      : ArchiveHost(on, driver), kind(driver) {}

  std::string records() const { return "image/" + std::string(driver_name(kind)); }
  Dir folder(const std::string& below) const { return Dir::open(path(records() + below)); }
  std::string files() const { return kind == DriverKind::vfs ? "vfs/dir" : "overlay2"; }
  void forget_tags() const { write_file(path(records() + "/repositories.json"), R"({"Repositories":{}})"); }

  /// Cuts an import when it is about to begin with this.
  void cut_import(const std::string& archive, const std::string& phase) const {
    auto kill_at = [&](const std::string& line) {
      if (has(line, phase)) ::_exit(9);
    };
    REQUIRE(run_apart({"import", "-i", archive, "-j", "1"}, kill_at) == "killed");
  }
  /// What came out of the archive and is not placed yet.
  Dir incoming() const {
    Dir drover = Dir::open(path("drover"));
    return drover.sub(drover.list().front().name).sub("incoming");
  }
  /// As a cut leaves it that comes later: these records are in their places.
  void place_all(const std::string& below) const {
    Dir from = incoming().walk(records() + below), to = Dir::open(root()).make_path(records() + below, 0700);
    for (const DirEntry& entry : from.list())
      if (!to.exists(entry.name)) from.rename(entry.name, to, entry.name);
  }
  void refuses(const std::vector<std::string>& words, const std::string& what) const {
    remember();
    Run refused = run(words);
    CHECK(refused.code == 1);
    CAPTURE(message_of(refused));
    CHECK(has(message_of(refused), what));
    CHECK(changes() == "");
  }
  void check_has_all_of(const ArchiveHost& sample) const {
    CHECK(losses_from(sample) == "");
    check_done(run({"verify"}));
    CHECK_FALSE(Dir::open(root()).exists("drover"));
  }
};

void write_layer_record(const Dir& in, const Digest& diff_id, const std::optional<Digest>& parent,
                        const LayerId& cache_id) {
  Dir record = in.make_path(chain_id_of(parent, diff_id), 0700);
  record.write_new("diff", "sha256:" + diff_id, 0644);
  if (parent) record.write_new("parent", "sha256:" + *parent, 0644);
  record.write_new("size", "0", 0644);
  record.write_new("cache-id", cache_id, 0644);
}

/// The lowest image of the sample, as it is after an import of it.
struct Lowest {
  Digest image, layer;
  LayerId cache_id;
  explicit Lowest(const ArchiveHost& host) {
    Inventory there = host.inventory();
    image = there.images.begin()->first;
    layer = there.layers.begin()->first;
    cache_id = there.layers.begin()->second.cache_id;
  }
};

}  // namespace

TEST_CASE("an import does not begin where an image's configuration is damaged, and has no tag") {
  Archives archives;
  for (DriverKind kind : {DriverKind::overlay2, DriverKind::vfs}) {
    CAPTURE(std::string(driver_name(kind)));
    Taker host(kind);
    check_done(host.run({"import", "-i", archives.base}));
    Lowest lowest(host);
    host.forget_tags();
    write_file(host.path(host.records() + kConfigs + "/" + lowest.image), "");
    host.refuses({"import", "-i", archives.archive},
                 "has records that cannot be used in the place of those to be imported: `" + host.records() +
                     kConfigs + "/" + lowest.image + "`\nhint: nothing was changed; move them elsewhere");
    host.folder(kConfigs).unlink(lowest.image);
    check_done(host.run({"import", "-i", archives.archive}));
    host.check_has_all_of(archives.host);
  }
}

TEST_CASE("an import does not begin where a layer has a record and no files, and no image stands on it") {
  Archives archives;
  for (DriverKind kind : {DriverKind::overlay2, DriverKind::vfs})
    for (bool whole_home : {false, true}) {
      CAPTURE(std::string(driver_name(kind)));
      CAPTURE(whole_home);
      Taker host(kind);
      check_done(host.run({"import", "-i", archives.base}));
      Lowest lowest(host);
      host.forget_tags();
      host.folder(kConfigs).unlink(lowest.image);
      if (whole_home)
        Dir::open(host.root()).remove_tree(driver_name(kind));
      else
        Dir::open(host.path(host.files())).remove_tree(lowest.cache_id);
      host.refuses({"import", "-i", archives.archive},
                   "has records that cannot be used in the place of those to be imported: `" +
                       host.records() + kLayers + "/" + lowest.layer + "`");
      host.folder(kLayers).remove_tree(lowest.layer);
      check_done(host.run({"import", "-i", archives.archive}));
      host.check_has_all_of(archives.host);
    }
}

TEST_CASE("an import that was interrupted does not take damage for what it was to bring") {
  Archives archives;
  for (const char* phase : {"making and proving", "placing"})
    for (bool of_layer : {false, true})
      for (const char* end : {"resume", "rollback"}) {
        CAPTURE(std::string(phase));
        CAPTURE(of_layer);
        CAPTURE(std::string(end));
        Taker host(DriverKind::overlay2);
        host.cut_import(archives.archive, phase);
        // As an engine leaves it that was told to pull the same image, and lost its power.
        Inventory wanted = archives.host.inventory();
        const LayerRecord& layer = wanted.layers.begin()->second;
        std::string below = of_layer ? kLayers : kConfigs,
                    name = of_layer ? layer.chain_id : wanted.images.begin()->first;
        Dir in = Dir::open(host.root()).make_path(host.records() + below, 0700);
        if (of_layer) {
          write_layer_record(in, layer.diff_id, layer.parent, LayerId(64, 'e'));
        } else {
          in.write_new(name, "", 0600);
        }
        host.refuses({"import", "--resume"},
                     host.records() + below + "/" + name + "` is there already and cannot be used");
        if (end == std::string("rollback")) {
          check_done(host.run({"rollback", "--yes"}));
          CHECK(in.exists(name));
          in.remove_tree(name);
          check_done(host.run({"import", "-i", archives.archive}));
        } else {
          in.remove_tree(name);
          check_done(host.run({"import", "--resume"}));
        }
        host.check_has_all_of(archives.host);
      }
}

TEST_CASE("an import that was interrupted goes on beside the same image, which an engine has made since") {
  Archives archives;
  for (const char* phase : {"making and proving", "placing"})
    for (const char* end : {"resume", "rollback"}) {
      CAPTURE(std::string(phase));
      CAPTURE(std::string(end));
      Taker host(DriverKind::vfs), engine(DriverKind::vfs);
      host.cut_import(archives.archive, phase);
      check_done(engine.run({"import", "-i", archives.base}));
      Lowest lowest(engine);
      Dir root = Dir::open(host.root());
      auto take_over = [&](const std::string& below, const std::string& name) {
        Dir to = root.make_path(below, 0700), from = Dir::open(engine.path(below));
        if (from.try_sub(name)) {
          to.make_dir(name, 0700);
          clone_tree(from.sub(name), to.sub(name), false);
        } else {
          to.write_new(name, from.read(name), 0600);
        }
      };
      take_over("vfs/dir", lowest.cache_id);
      take_over(host.records() + kLayers, lowest.layer);
      take_over(host.records() + kConfigs, lowest.image);
      take_over(host.records(), "repositories.json");
      if (end == std::string("resume")) {
        check_done(host.run({"import", "--resume"}));
        host.check_has_all_of(archives.host);
      } else {
        check_done(host.run({"rollback", "--yes"}));
        CHECK(host.losses_from(engine) == "");
        CHECK(host.inventory().layers.size() == 1);
      }
      CHECK(host.inventory().layers.at(lowest.layer).cache_id == lowest.cache_id);
    }
}

TEST_CASE("an import is not taken back from under a name that was given since") {
  Archives archives;
  for (const char* name :
       {"mine:1", "mine@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"})
    for (const char* end : {"resume", "rollback"}) {
      CAPTURE(std::string(name));
      CAPTURE(std::string(end));
      Taker host(DriverKind::vfs);
      check_done(host.run({"import", "-i", archives.base}));
      Lowest lowest(host);
      host.remember();
      host.cut_import(archives.archive, "placing");
      host.place_all(kLayers);
      host.place_all(kConfigs);
      Digest named;
      for (const auto& [id, image] : archives.host.inventory().images)
        if (id != lowest.image) named = id;
      // Of the image that was there, too, which is no reason to refuse.
      std::map<std::string, Digest> tags{{"sample-base:1", lowest.image}, {"other:1", lowest.image}};
      std::string repositories = host.path(host.records() + "/repositories.json");
      tags[name] = named;
      write_file(repositories, repositories_text(tags));
      Run refused = host.run({"rollback", "--yes"});
      CHECK(refused.code == 1);
      CHECK(has(message_of(refused), "the name `" + std::string(name) + "` of image " + short_id(named) +
                                         " stands on what was imported, and was made since"));
      CHECK(host.inventory().images.contains(named));
      if (end == std::string("resume")) {
        check_done(host.run({"import", "--resume"}));
        Inventory now = host.inventory();
        CHECK(now.problems.empty());
        const auto& names = now.images.at(named).references;
        CHECK(std::find(names.begin(), names.end(), name) != names.end());
      } else {
        tags.erase(name);
        tags.erase("other:1");
        write_file(repositories, repositories_text(tags));
        check_done(host.run({"rollback", "--yes"}));
        CHECK(host.changes() == "");
      }
    }
}

TEST_CASE("names that led nowhere are set where they are the import's, and lead nowhere again without it") {
  Archives archives;
  Digest app, nowhere(64, '0');
  for (const auto& [id, image] : archives.host.inventory().images)
    for (const std::string& reference : image.references)
      if (reference == "sample-app:1") app = id;
  auto make = [&](Taker& host) {
    check_done(host.run({"import", "-i", archives.base}));
    std::map<std::string, Digest> tags{
        {"sample-base:1", Lowest(host).image}, {"sample-app:1", nowhere}, {"old:1", app}};
    write_file(host.path(host.records() + "/repositories.json"), repositories_text(tags));
    host.remember();
  };
  Taker done(DriverKind::vfs);
  make(done);
  check_done(done.run({"import", "-i", archives.archive}));
  Inventory now = done.inventory();
  CHECK(now.problems.empty());
  std::string names;
  for (const std::string& name : now.images.at(app).references) names += name + " ";
  CHECK(names == "old:1 sample-app:1 sample-app:latest ");

  Taker given_up(DriverKind::vfs);
  make(given_up);
  given_up.cut_import(archives.archive, "placing");
  given_up.place_all(kLayers);
  given_up.place_all(kConfigs);
  check_done(given_up.run({"rollback", "--yes"}));
  CHECK(given_up.changes() == "");
}

TEST_CASE("an import that was cut goes on beside layers outside of the root that an engine has made") {
  Archives archives;
  for (const Case& one : cases()) {
    if (one.driver.kind != DriverKind::zfs) continue;
    for (const char* end : {"resume", "rollback"}) {
      CAPTURE(std::string(end));
      Taker host(DriverKind::zfs, one.filesystem);
      check_done(host.run({"import", "-i", archives.base}));
      host.cut_import(archives.archive, "making and proving");
      LayerId made(64, 'e');
      zfs_create(find_zfs_parent(host.root(), {}).value() + "/" + made, {{"mountpoint", "legacy"}});
      Digest chain(64, 'd');
      write_layer_record(host.folder(kLayers), chain, {}, made);
      std::string config = R"({"rootfs":{"type":"layers","diff_ids":["sha256:)" + chain + R"("]}})";
      host.folder(kConfigs).write_new(sha256_hex(config), config, 0600);
      check_done(host.run(end == std::string("resume") ? std::vector<std::string>{"import", "--resume"}
                                                       : std::vector<std::string>{"rollback", "--yes"}));
      CHECK(host.inventory().images.contains(sha256_hex(config)));
      if (end == std::string("resume")) CHECK(host.losses_from(archives.host) == "");
      CHECK(host.inventory().problems.empty());
    }
  }
}
