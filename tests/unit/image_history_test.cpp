#include "migrate/image_history.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// The commands of the matched lines, "-" where there is none, then the remark.
std::string matched(const std::string& history, std::size_t layers) {
  MatchedHistory found = match_history(parse_history(R"({"history": )" + history + "}"), layers);
  CHECK(found.lines.size() == layers);
  std::string text;
  for (const auto& line : found.lines)
    text += (text.empty() ? "" : " ") + (line ? "[" + line->created_by + "]" : std::string("-"));
  return text + (found.remark.empty() ? "" : "; " + found.remark);
}

}  // namespace

TEST_CASE("lines that made no layer are passed over") {
  CHECK(matched(R"([{"created_by": "a"}, {"created_by": "b", "empty_layer": true}, {"created_by": "c"}])",
                2) == "[a] [c]");
  CHECK(matched(R"([{"created_by": "a", "empty_layer": false}])", 1) == "[a]");
  CHECK(matched(R"([{"created_by": "b", "empty_layer": true}])", 0) == "");
}

TEST_CASE("a history that is absent or no list tells of no layer") {
  for (const char* history : {"null", "[]", "{}", "\"text\"", "7"}) {
    CAPTURE(history);
    CHECK(matched(history, 2) == "- -; the image has no history");
    CHECK(matched(history, 0) == "");
  }
  CHECK(parse_history("[1, 2]").empty());
  CHECK(parse_history("{}").empty());
  CHECK_THROWS_AS(parse_history("{\"history\": "), Error);
}

TEST_CASE("a history that is too short or too long is matched from the base, and it is said") {
  CHECK(matched(R"([{"created_by": "a"}])", 3) ==
        "[a] - -; the image's history tells of 1 layer, and it has 3: matched from the base up");
  CHECK(matched(R"([{"created_by": "a"}, {"created_by": "b"}, {"created_by": "c"}])", 1) ==
        "[a]; the image's history tells of 3 layers, and it has 1: matched from the base up");
}

TEST_CASE("items that are not what they should be count, but say nothing") {
  CHECK(matched(R"([7, {"created_by": ["x"]}, {"empty_layer": "yes", "created_by": "c"}, null])", 4) ==
        "[] [] [c] []");
  std::vector<HistoryLine> lines = parse_history(
      R"({"history": [{"created": 5, "comment": "buildkit.dockerfile.v0", "created_by": "\u0000\u001b[2J"}]})");
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].created == "");
  CHECK(lines[0].comment == "buildkit.dockerfile.v0");
  CHECK(lines[0].created_by == std::string("\0\x1b[2J", 5));
}

TEST_CASE("the history of an image in a store is read, and one that is not there is none") {
  StoreFixture fixture;
  Dir root = Dir::open(fixture.tree.root());
  std::vector<HistoryLine> lines = read_history(root, DriverKind::overlay2, fixture.app_image);
  MatchedHistory found = match_history(lines, 2);
  CHECK(found.remark == "");
  for (const auto& line : found.lines) REQUIRE(line);
  CHECK(found.lines[0]->created_by == "sample layer " + short_id(fixture.root.layer(fixture.base).diff_id));
  CHECK(found.lines[1]->created_by == "sample layer " + short_id(fixture.root.layer(fixture.app).diff_id));
  CHECK(read_history(root, DriverKind::overlay2, std::string(64, 'f')).empty());
  CHECK(read_history(root, DriverKind::overlay2, "../../../etc/passwd").empty());
  CHECK(read_history(root, DriverKind::vfs, fixture.app_image).empty());
  fixture.tree.write(fixture.image(fixture.app_image), "{");
  CHECK(read_history(root, DriverKind::overlay2, fixture.app_image).empty());
}
