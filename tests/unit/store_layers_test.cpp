#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

TEST_CASE("a damaged layer record names who stands on it") {
  StoreFixture fixture;
  std::string layer = "layer " + short_id(fixture.app) + " ";
  SUBCASE("no cache-id") {
    fixture.remove(fixture.layer(fixture.app, "cache-id"));
    CHECK(problem_of(fixture) == layer + "cannot be used: its cache-id is missing" + on_app(fixture));
  }
  SUBCASE("a cache-id that leads out") {
    fixture.tree.write(fixture.layer(fixture.app, "cache-id"), "../../etc");
    CHECK(problem_of(fixture) == layer + "cannot be used: its cache-id is `../../etc`" + on_app(fixture));
  }
  SUBCASE("a diff that is no digest") {
    fixture.tree.write(fixture.layer(fixture.app, "diff"), "sha256:12\n34");
    CHECK(problem_of(fixture) == layer + "cannot be used: its diff is `sha256:12\\x0a34`" + on_app(fixture));
  }
  SUBCASE("a size that is none") {
    fixture.tree.write(fixture.layer(fixture.app, "size"), "-5");
    CHECK(problem_of(fixture) == layer + "cannot be used: its size is `-5`" + on_app(fixture));
  }
  SUBCASE("a file too large") {
    fixture.tree.write(fixture.layer(fixture.app, "size"), std::string(70'000, '1'));
    CHECK(problem_of(fixture) ==
          layer + "cannot be used: its size is larger than 65536 bytes" + on_app(fixture));
  }
  SUBCASE("a fifo") {
    fixture.remove(fixture.layer(fixture.app, "diff"));
    REQUIRE(::mkfifo(fixture.tree.path(fixture.layer(fixture.app, "diff")).c_str(), 0600) == 0);
    CHECK(problem_of(fixture) == layer + "cannot be used: its diff is no regular file" + on_app(fixture));
  }
  SUBCASE("a symlink") {
    fixture.remove(fixture.layer(fixture.app, "diff"));
    fs::create_symlink("/etc/passwd", fixture.tree.path(fixture.layer(fixture.app, "diff")));
    CHECK(problem_of(fixture) == layer + "cannot be used: its diff is a symlink" + on_app(fixture));
  }
  SUBCASE("gone") {
    fixture.remove(fixture.layer(fixture.app, ""));
    CHECK(problem_of(fixture) == layer + "is missing from the records" + on_app(fixture));
  }
  Inventory inventory = fixture.read();
  CHECK(inventory.layers.size() == 2);  // nor does the engine load what is on it
  CHECK(inventory.images.size() == 2);
  CHECK(inventory.containers.size() == 1);
  CHECK(inventory.mounts.size() == 1);
}

TEST_CASE("white space around a word in a record is no fault") {
  StoreFixture fixture;
  fixture.tree.write(fixture.layer(fixture.app, "size"), " 7\n");
  CHECK(problem_of(fixture) == "");
  CHECK(fixture.read().layers.at(fixture.app).size_bytes == 7);
}

TEST_CASE("a chain ID that does not follow from parent and diff ID") {
  StoreFixture fixture;
  fixture.tree.write(fixture.layer(fixture.app, "diff"), "sha256:" + fixture.other);
  CHECK(problem_of(fixture) == "layer " + short_id(fixture.app) +
                                   " does not have the chain ID that follows from its parent and diff ID" +
                                   on_app(fixture));
}

TEST_CASE("a cycle of parents stops the engine") {
  StoreFixture fixture;
  fixture.tree.write(fixture.layer(fixture.base, "parent"), "sha256:" + fixture.app);
  Inventory inventory = fixture.read();
  std::string lines;
  for (const StoreProblem& problem : inventory.problems) lines += problem.what + "\n";
  CHECK(lines.find(" is its own ancestor\n") != std::string::npos);
  for (const StoreProblem& problem : inventory.problems) CHECK(problem.fatal);
  CHECK(inventory.layers.size() == 1);
  CHECK(inventory.images.size() == 1);
}

TEST_CASE("a cycle of parents that nothing stands on is fatal too") {
  StoreFixture fixture;
  Digest lone(64, 'f');
  fixture.tree.write(fixture.layer(lone, "diff"), "sha256:" + fixture.other);
  fixture.tree.write(fixture.layer(lone, "parent"), "sha256:" + lone);
  fixture.tree.write(fixture.layer(lone, "cache-id"), lone);
  fixture.tree.write(fixture.layer(lone, "size"), "0");
  CHECK(problem_of(fixture) == "layer ffffffffffff is its own ancestor | | fatal");
  CHECK(fixture.read().layers.size() == 4);
}

TEST_CASE("a long chain of parents is walked without recursion") {
  HostTree tree;
  SampleRoot root(tree.root(), SampleRoot::Files::none);
  std::optional<Digest> parent;
  for (int i = 0; i < 300; ++i) parent = root.add_layer(parent, {file("f", std::to_string(i))});
  root.add_image("deep:1", *parent, "/f");
  Inventory inventory = read_inventory(Dir::open(tree.root()), DriverKind::overlay2, nullptr);
  CHECK(inventory.layers.size() == 300);
  CHECK(inventory.images.size() == 1);
  CHECK(inventory.problems.empty());
}

TEST_CASE("a layer whose files the driver does not have") {
  StoreFixture fixture;
  const LayerId& lost = fixture.root.layer(fixture.app).cache_id;
  fixture.home.ids.erase(lost);
  CHECK(problem_of(fixture) == "layer " + short_id(fixture.app) +
                                   " has no files: the overlay2 home lacks its cache ID " + short_id(lost) +
                                   on_app(fixture));
  CHECK(fixture.read().images.size() == 4);  // the engine still shows them
  CHECK(fixture.read().containers.size() == 2);
}

TEST_CASE("two layers with one cache ID") {
  StoreFixture fixture;
  const LayerId& claimed = fixture.root.layer(fixture.base).cache_id;
  fixture.tree.write(fixture.layer(fixture.app, "cache-id"), claimed);
  fixture.tree.write(fixture.layer(fixture.other, "cache-id"), "0123456789abcdefghijklmno");
  fixture.home.ids.insert("0123456789abcdefghijklmno");
  bool base_first = fixture.base < fixture.app;
  const Digest& second = base_first ? fixture.app : fixture.base;
  std::string problem = problem_of(fixture);
  CHECK(problem.substr(0, problem.find(" |")) ==
        "layer " + short_id(second) + " has the same cache ID as layer " +
            short_id(base_first ? fixture.base : fixture.app) + ", " + short_id(claimed));
}

TEST_CASE("a damaged layer that nobody needs is passed over") {
  StoreFixture fixture;
  fixture.remove(fixture.image(fixture.untagged_image));
  std::string layer = "layer " + short_id(fixture.top) + " ";
  SUBCASE("bad record") {
    fixture.remove(fixture.layer(fixture.top, "size"));
    CHECK(problem_of(fixture) == layer + "cannot be used: its size is missing | | ignored");
  }
  SUBCASE("no files") {
    const LayerId& lost = fixture.root.layer(fixture.top).cache_id;
    fixture.home.ids.erase(lost);
    CHECK(problem_of(fixture) ==
          layer + "has no files: the overlay2 home lacks its cache ID " + short_id(lost) + " | | ignored");
  }
  SUBCASE("wrong chain ID") {
    fixture.tree.write(fixture.layer(fixture.top, "diff"), "sha256:" + fixture.base);
    CHECK(problem_of(fixture) ==
          layer + "does not have the chain ID that follows from its parent and diff ID | | ignored");
  }
  CHECK(fixture.read().layers.size() == 3);
}

TEST_CASE("an image without a tag whose layers are gone is passed over, as by the engine") {
  StoreFixture fixture;
  fixture.remove(fixture.layer(fixture.top, ""));
  CHECK(problem_of(fixture) == "layer " + short_id(fixture.top) + " is missing from the records | " +
                                   short_id(fixture.untagged_image) + " | ignored");
  CHECK(fixture.read().images.size() == 3);
}

TEST_CASE("what the engine leaves lying in layerdb is passed over") {
  StoreFixture fixture;
  std::string removing = fixture.base + "-123-removing";
  fixture.tree.write(fixture.layer(removing, "cache-id"), "x");
  fixture.tree.write("/image/overlay2/layerdb/tmp/write-set-1/diff", "x");
  CHECK(problem_of(fixture) ==
        "`" + removing + "` in layerdb is no layer: the engine passes over it | | ignored\n" +
            "`write-set-1` in layerdb/tmp was never finished by the engine | | ignored");
  CHECK(fixture.read().layers.size() == 4);
}
