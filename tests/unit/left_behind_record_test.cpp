// left-behind.json: written and read again; whatever else it says is no record.
#include "migrate/left_behind_record.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

const std::string kId(64, 'a');

LeftBehind some_left() {
  LeftBehind left;
  left[{Part::Kind::layer, kId}] = {"aaaaaaaaaaaa", "layer aaaaaaaaaaaa is missing", {std::string(64, 'b')}};
  left[{Part::Kind::image, kId}] = {"app:1", "a \"reason\"\n", {}};
  left[{Part::Kind::container, kId}] = {"web", "", {std::string(64, 'c'), std::string(64, 'c') + "-init"}};
  left[{Part::Kind::build_cache, ""}] = {"", "its records", {"abcdefghijklmnopqrstuvwxy"}};
  return left;
}

bool same(const LeftBehind& a, const LeftBehind& b) { return left_behind_text(a) == left_behind_text(b); }

/// A text with one part in it.
std::string with_part(const std::string& members) { return R"({"version":1,"parts":[{)" + members + "}]}"; }

}  // namespace

TEST_CASE("what was left behind is read as it was written") {
  auto read = parse_left_behind(left_behind_text(some_left()));
  REQUIRE(read);
  CHECK(same(*read, some_left()));
  CHECK(read->at({Part::Kind::image, kId}).why == "a \"reason\"\n");
  CHECK(read->at({Part::Kind::container, kId}).files.size() == 2);
  auto nothing = parse_left_behind(left_behind_text({}));
  REQUIRE(nothing);
  CHECK(nothing->empty());
}

TEST_CASE("names and reasons of any length and any bytes can be read again") {
  LeftBehind left;
  left[{Part::Kind::image, kId}] = {std::string(100'000, '\xff'), std::string(100'000, 'x'), {}};
  auto read = parse_left_behind(left_behind_text(left));
  REQUIRE(read);
  CHECK(read->size() == 1);
}

TEST_CASE("a record that was lost is not an empty one") {
  HostTree tree;
  Dir folder = Dir::open(tree.root());
  CHECK_FALSE(read_left_behind(folder));
  write_left_behind(folder, {});
  REQUIRE(read_left_behind(folder));
  write_left_behind(folder, some_left());
  CHECK(same(*read_left_behind(folder), some_left()));
  folder.unlink(kLeftBehindFile);
  SUBCASE("a folder") { folder.make_dir(kLeftBehindFile, 0700); }
  SUBCASE("a fifo") { folder.make_node(kLeftBehindFile, S_IFIFO | 0600, 0); }
  SUBCASE("a symlink") { folder.make_symlink(kLeftBehindFile, "/dev/zero"); }
  SUBCASE("empty") { folder.write_new(kLeftBehindFile, "", 0600); }
  SUBCASE("cut off") {
    std::string text = left_behind_text(some_left());
    folder.write_new(kLeftBehindFile, text.substr(0, text.size() / 2), 0600);
  }
  CHECK_FALSE(read_left_behind(folder));
}

TEST_CASE("what is not as it was written is no record") {
  const std::string good = R"("kind":"image","id":")" + kId + R"(","name":"n","why":"w","files":[])";
  REQUIRE(parse_left_behind(with_part(good)));
  const std::string wrong[] = {
      "",
      "[]",
      "null",
      "{}",
      R"({"version":1})",
      R"({"version":2,"parts":[]})",
      R"({"version":1,"parts":{}})",
      R"({"version":1,"parts":[1]})",
      R"({"version":1,"parts":[{}]})",
      R"({"version":1,"parts":[)",
      std::string(1'000'000, '['),
      with_part(good) + "x",
      with_part(R"("kind":"volume","id":")" + kId + R"(","name":"n","why":"w","files":[])"),
      with_part(R"("kind":"image","id":"../x","name":"n","why":"w","files":[])"),
      with_part(R"("kind":"image","id":"","name":"n","why":"w","files":[])"),
      with_part(R"("kind":"image","id":7,"name":"n","why":"w","files":[])"),
      with_part(R"("kind":"build cache","id":")" + kId + R"(","name":"n","why":"w","files":[])"),
      with_part(R"("kind":"image","id":")" + kId + R"(","name":7,"why":"w","files":[])"),
      with_part(R"("kind":"image","id":")" + kId + R"(","name":"n","files":[])"),
      with_part(R"("kind":"image","id":")" + kId + R"(","name":"n","why":"w")"),
      with_part(R"("kind":"image","id":")" + kId + R"(","name":"n","why":"w","files":["../../etc"])"),
      with_part(R"("kind":"image","id":")" + kId + R"(","name":"n","why":"w","files":[1])"),
      with_part(R"("kind":"image","id":")" + kId + R"(","name":")" + std::string(5000, 'n') +
                R"(","why":"w","files":[])"),
      R"({"version":1,"parts":[{)" + good + "},{" + good + "}]}",
  };
  for (const std::string& text : wrong) {
    CAPTURE(text.substr(0, 200));
    CHECK_FALSE(parse_left_behind(text));
  }
}
