// Which of Docker's records are not copied with what is left behind, where the records are odd.
#include "migrate/left_out.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {

struct LeftOutFixture : StoreFixture {
  Inventory inventory = read();
  LeftOutFixture() {
    inventory.left[{Part::Kind::image, app_image}] = {"app:1", "it is broken", {}};
    inventory.images.erase(app_image);
  }
  Dir records() const { return Dir::open(tree.path("/image/overlay2")); }
};

}  // namespace

TEST_CASE("an image that stays does not name one as its parent that is left behind") {
  LeftOutFixture fixture;
  const std::string metadata = "imagedb/metadata/sha256/";
  auto set_parent = [&](const Digest& image, const Digest& parent) {
    fixture.tree.write("/image/overlay2/" + metadata + image + "/parent", "sha256:" + parent);
  };
  set_parent(fixture.untagged_image, fixture.app_image);
  set_parent(fixture.other_image, fixture.base_image);
  std::set<std::string> out = left_out_of_image(fixture.records(), fixture.inventory);
  CHECK(out.contains(metadata + fixture.untagged_image + "/parent"));
  CHECK_FALSE(out.contains(metadata + fixture.other_image + "/parent"));
  CHECK_FALSE(out.contains(metadata + fixture.untagged_image));
}

TEST_CASE("what the registry is known to have is not looked for behind a symlink") {
  LeftOutFixture fixture;
  Digest pulled(64, '7'), lost = fixture.root.layer(fixture.top).diff_id;
  fixture.inventory.left[{Part::Kind::layer, fixture.top}] = {"top", "it is broken", {}};
  fixture.inventory.layers.erase(fixture.top);
  fixture.tree.write("/image/overlay2/elsewhere/diffid-by-digest/sha256/" + pulled, "sha256:" + lost);
  std::filesystem::remove_all(fixture.tree.path("/image/overlay2/distribution"));
  fixture.records().make_symlink("distribution", "elsewhere");
  std::set<std::string> out = left_out_of_image(fixture.records(), fixture.inventory);
  CHECK_FALSE(out.contains("distribution/diffid-by-digest/sha256/" + pulled));
  require_left_out(fixture.records(), {"distribution/diffid-by-digest/sha256/" + pulled});
}

TEST_CASE("tags in any number, and names with bytes that are no UTF-8") {
  LeftBehind left;
  Digest gone(64, 'a'), kept(64, 'b');
  left[{Part::Kind::image, gone}] = {};
  std::string many;
  for (int i = 10000; i < 50000; ++i)
    many += (many.empty() ? "\"" : ",\"") + ("many:" + std::to_string(i)) + "\":\"sha256:" + kept + "\"";
  std::string text = R"({"Repositories":{"caf)"
                     "\xe9"
                     R"(":{"caf)"
                     "\xe9"
                     R"(:1":"sha256:)" +
                     kept + R"("},"lost":{"lost:1":"sha256:)" + gone + R"("},"many":{)" + many + "}}}";
  // As an engine reads the old one, and would write it.
  std::string expected = R"({"Repositories":{"caf)"
                         "\xef\xbf\xbd"
                         R"(":{"caf)"
                         "\xef\xbf\xbd"
                         R"(:1":"sha256:)" +
                         kept + R"("},"many":{)" + many + "}}}";
  CHECK(repositories_without(text, left) == expected);
}

TEST_CASE("a file of tags that cannot be read is named") {
  LeftOutFixture fixture;
  fixture.tree.write("/image/overlay2/repositories.json", "{");
  std::string what;
  try {
    has_left_tags(fixture.records(), fixture.inventory.left);
  } catch (const Error& e) {
    what = e.what();
  }
  CHECK(what == "`" + fixture.tree.path("/image/overlay2/repositories.json") + "`: is no valid JSON");
}
