#include "migrate/verify.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "drivers/sys/error.hpp"
#include "tests/support/store_fixture.hpp"
#include "tests/support/tar_split_writer.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// The fixture's store with the content of its files, which needs no root: no layer here hides anything that
/// a proof reads.
struct VerifyFixture : StoreFixture {
  VerifyFixture() {
    tree.write(diff(id(base)) + "/base", "1");
    tree.write(diff(id(app)) + "/app", "2");
    std::filesystem::create_directories(tree.path(diff(id(top)) + "/top"));
    tree.write(diff(id(other)) + "/other", "3");
    for (const std::string& container : {worker, idle}) {
      std::filesystem::create_directories(tree.path(diff(root.mount(container).mount_id)));
      std::filesystem::create_directories(tree.path(diff(*root.mount(container).init_id)));
    }
  }
  LayerId id(const Digest& chain) const { return root.layer(chain).cache_id; }
  static std::string diff(const LayerId& layer) { return "/overlay2/" + layer + "/diff"; }

  VerifyReport verify(const std::vector<std::string>& names = {}) const {
    Progress progress;
    return verify_store({tree.root(), "flag", true, {}}, DriverKind::overlay2, {}, names, 2, progress);
  }
  /// "images containers layers writable": how much a name means.
  std::string extent(const std::vector<std::string>& names) const {
    VerifyReport report = verify(names);
    CHECK(report.sound());
    return std::to_string(report.images) + " " + std::to_string(report.containers) + " " +
           std::to_string(report.proven) + " " + std::to_string(report.walked);
  }
};

std::string unit_data(const std::string& name) {
  std::ifstream in(std::string(TESTS_DIR) + "/unit/data/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("without a name everything is proven") {
  VerifyFixture fixture;
  VerifyReport report = fixture.verify();
  CHECK(report.sound());
  CHECK(report.images == 4);
  CHECK(report.containers == 2);
  CHECK(report.proven == 4);
  CHECK(report.proven_bytes > 0);
  CHECK(report.walked == 4);
  CHECK(report.problems.empty());
}

TEST_CASE("a name means an image, a container or a layer, with all below it") {
  VerifyFixture fixture;
  CHECK(fixture.extent({"base:1"}) == "1 0 1 0");
  CHECK(fixture.extent({"reg:5000/app:1"}) == "1 0 2 0");
  CHECK(fixture.extent({"app"}) == "1 0 2 0");
  CHECK(fixture.extent({"app@sha256:" + fixture.base}) == "1 0 2 0");
  CHECK(fixture.extent({fixture.untagged_image}) == "1 0 3 0");
  CHECK(fixture.extent({"sha256:" + fixture.untagged_image}) == "1 0 3 0");
  CHECK(fixture.extent({fixture.untagged_image.substr(0, 12)}) == "1 0 3 0");
  CHECK(fixture.extent({"worker"}) == "0 1 2 2");
  CHECK(fixture.extent({fixture.idle.substr(0, 8)}) == "0 1 1 2");
  CHECK(fixture.extent({fixture.top}) == "0 0 1 0");
  CHECK(fixture.extent({fixture.id(fixture.app)}) == "0 0 1 0");
  CHECK(fixture.extent({fixture.root.layer(fixture.app).diff_id.substr(0, 10)}) == "0 0 1 0");
  CHECK(fixture.extent({"app:latest", "other:1", "worker"}) == "2 1 3 2");
}

TEST_CASE("a name that nothing has, or several have, is an error") {
  VerifyFixture fixture;
  for (const std::string name : {"", "app:2", "a", "base", "WORKER", "zzzz", "../x", "sha256:"}) {
    CAPTURE(name);
    CHECK_THROWS_WITH_AS(
        fixture.verify({name}),
        ("there is no image, container or layer `" + name + "` in the store of overlay2").c_str(), Error);
  }
  // Three digits are too few, and a name is taken whole.
  CHECK_THROWS_AS(fixture.verify({fixture.app_image.substr(0, 3)}), Error);
  CHECK_THROWS_AS(fixture.verify({"base:1", "nothing"}), Error);
  fixture.replace(fixture.container(fixture.idle, "config.v2.json"), "\"/idle\"", "\"/app\"");
  CHECK_THROWS_WITH_AS(fixture.verify({"app"}), "`app` is the name of several things", Error);
  CHECK(fixture.extent({"app:latest"}) == "1 0 2 0");
}

TEST_CASE("damage is named with all that need it") {
  VerifyFixture fixture;
  fixture.tree.write(fixture.diff(fixture.id(fixture.base)) + "/base", "x");
  VerifyReport report = fixture.verify();
  CHECK_FALSE(report.sound());
  CHECK(report.proven == 3);
  REQUIRE(report.damaged.size() == 1);
  CHECK(report.damaged[0].layer == fixture.base);
  CHECK(report.damaged[0].detail.find("base") != std::string::npos);
  std::set<std::string> concerned(report.damaged[0].concerns.begin(), report.damaged[0].concerns.end());
  CHECK(concerned ==
        std::set<std::string>{"base:1", "app:latest", short_id(fixture.untagged_image), "worker"});
  CHECK(fixture.verify({"other:1"}).sound());
  CHECK_FALSE(fixture.verify({"worker"}).sound());
}

TEST_CASE("a layer without a recipe is not provable, and not damaged") {
  VerifyFixture fixture;
  fixture.remove(fixture.layer(fixture.other, "tar-split.json.gz"));
  VerifyReport report = fixture.verify();
  CHECK(report.sound());
  CHECK(report.proven == 3);
  REQUIRE(report.not_provable.size() == 1);
  CHECK(report.not_provable[0].layer == fixture.other);
}

TEST_CASE("a recipe that is whole but makes another tar is damage, and is named with all that need it") {
  VerifyFixture fixture;
  const std::string file = fixture.layer(fixture.base, "tar-split.json.gz");
  const std::string tar = fixture.root.tar_of(fixture.base), lines = split_tar(tar);
  REQUIRE(fixture.tree.read(file) == gzip(lines));
  for (const std::string& wrong :
       {with_other_mode(lines), std::string(), lines.substr(0, lines.find('\n') + 1),
        split_tar(tar + std::string(1024, '\0')), split_tar(tar + std::string(511, '\0') + "x"),
        split_tar(tar.substr(0, tar.size() - 1))}) {
    CAPTURE(wrong);
    fixture.tree.write(file, gzip(wrong));
    VerifyReport report = fixture.verify();
    CHECK_FALSE(report.sound());
    CHECK(report.not_provable.empty());
    REQUIRE(report.damaged.size() == 1);
    CHECK(report.damaged[0].layer == fixture.base);
    CHECK(report.damaged[0].detail == "its tar-split.json.gz makes another tar than the layer's");
    CHECK(report.damaged[0].concerns.size() == 4);
  }
}

TEST_CASE(
    "a recipe with a block of zeros too many, as old engines wrote it, is not provable, and not damaged") {
  VerifyFixture fixture;
  fixture.tree.write(fixture.layer(fixture.other, "tar-split.json.gz"),
                     gzip(split_tar(fixture.root.tar_of(fixture.other) + std::string(512, '\0'))));
  VerifyReport report = fixture.verify();
  CHECK(report.sound());
  REQUIRE(report.not_provable.size() == 1);
  CHECK(report.not_provable[0].detail == "its tar-split.json.gz has a block of zeros too many at its end");
  // As far as all before it is what the diff ID says.
  fixture.tree.write(
      fixture.layer(fixture.other, "tar-split.json.gz"),
      gzip(with_other_mode(split_tar(fixture.root.tar_of(fixture.other) + std::string(512, '\0')))));
  CHECK_FALSE(fixture.verify().sound());
}

TEST_CASE("a layer with sparse members is not provable; what else is wrong with it is damage") {
  VerifyFixture fixture;
  // As GNU tar 1.34 and dockerd 20.10 have made them of the two files below.
  for (const auto& [named, diff_id] :
       {std::pair{"0.0", "a300a56499b4222815f35d47a4b624e6289ddede70d84443731a60c851821ac6"},
        {"0.1", "7456ae6ec68ae8bf0d7a5432cc62611f2fa1a1b970697a56bd825644336e945f"},
        {"1.0", "9803dbcc4f7ae1046b1c715f04ed6d6a9ec9da794ab783b0247dc9a534ab7f60"}}) {
    const std::string version = named;
    CAPTURE(version);
    const LayerId cache_id(64, version[2]);
    fixture.tree.write(fixture.layer(diff_id, "diff"), std::string("sha256:") + diff_id);
    fixture.tree.write(fixture.layer(diff_id, "cache-id"), cache_id);
    fixture.tree.write(fixture.layer(diff_id, "size"), "1048582");
    fixture.tree.write(fixture.layer(diff_id, "tar-split.json.gz"),
                       unit_data("sparse_pax_" + version + ".json.gz"));
    std::string content(1 << 20, '\0');
    content.replace(content.size() / 2, 6, "middle");
    fixture.tree.write(fixture.diff(cache_id) + "/plain", "plain\n");
    fixture.tree.write(fixture.diff(cache_id) + "/sparse", content);
    fixture.tree.write("/overlay2/" + cache_id + "/link", "LINK" + version);
    VerifyReport report = fixture.verify({diff_id});
    CHECK(report.sound());
    REQUIRE(report.not_provable.size() == 1);
    CHECK(report.not_provable[0].detail ==
          "`sparse` is a sparse member of its tar, to which no tar-split leads back");
    fixture.tree.write(fixture.diff(cache_id) + "/plain", "plaiN\n");
    report = fixture.verify({diff_id});
    REQUIRE(report.damaged.size() == 1);
    CHECK(report.damaged[0].detail == "`plain`: its content is not what was recorded");
  }
}

TEST_CASE("a writable layer whose lower is damaged is found") {
  VerifyFixture fixture;
  fixture.tree.write("/overlay2/" + fixture.root.mount(fixture.worker).mount_id + "/lower", "l/../../etc");
  VerifyReport report = fixture.verify();
  REQUIRE(report.damaged.size() == 1);
  CHECK(report.damaged[0].concerns == std::vector<std::string>{"worker"});
}
