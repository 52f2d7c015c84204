#include <doctest/doctest.h>

#include "drivers/sys/sha256.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

TEST_CASE("a damaged image configuration names its tags and containers") {
  StoreFixture fixture;
  std::string users = " | app:latest reg:5000/app:1 app@sha256:" + fixture.base + " worker | fatal";
  std::string image = "image " + short_id(fixture.app_image) + " cannot be used: ";
  SUBCASE("changed") {
    fixture.replace(fixture.image(fixture.app_image), "amd64", "arm64");
    CHECK(problem_of(fixture) == image + "its configuration does not match its ID" + users);
  }
  SUBCASE("a directory") {
    fixture.remove(fixture.image(fixture.app_image));
    fs::create_directory(fixture.tree.path(fixture.image(fixture.app_image)));
    CHECK(problem_of(fixture) == image + "its configuration is no regular file" + users);
  }
  CHECK(fixture.read().images.size() == 3);
}

TEST_CASE("image configurations that are what their ID says, and yet are none") {
  auto reason = [](const std::string& config) {
    StoreFixture fixture;
    Digest id = sha256_hex(config);
    fixture.tree.write(fixture.image(id), config);
    fixture.root.tag("bad:1", id);
    std::string start = "image " + short_id(id) + " cannot be used: ", end = " | bad:1 | fatal";
    std::string problem = problem_of(fixture);
    REQUIRE(problem.starts_with(start));
    REQUIRE(problem.ends_with(end));
    return problem.substr(start.size(), problem.size() - start.size() - end.size());
  };
  CHECK(reason("{") == "its configuration is no valid JSON");
  CHECK(reason("[]") == "its configuration names no rootfs");
  CHECK(reason(R"({"rootfs":{"diff_ids":7}})") == "its configuration has diff_ids that are no list");
  CHECK(reason(R"({"rootfs":{"diff_ids":["sha256:7"]}})") ==
        "its configuration has a diff ID that is no digest");
  CHECK(reason(std::string(100'000, '[')) == "its configuration is nested too deep");
  CHECK(reason(std::string((16 << 20) + 1, ' ')) == "its configuration is larger than 16777216 bytes");
}

TEST_CASE("an image configuration with bytes that are no UTF-8 is read, as by the engine") {
  StoreFixture fixture;
  std::string config =
      "{\"author\":\"Andr\xe9\",\"rootfs\":{\"diff_ids\":[\"sha256:" + fixture.base + "\"]}}";
  fixture.tree.write(fixture.image(sha256_hex(config)), config);
  CHECK(problem_of(fixture) == "");
  CHECK(fixture.read().images.at(sha256_hex(config)).top == fixture.base);
}

TEST_CASE("a damaged image that nobody uses is passed over") {
  StoreFixture fixture;
  fixture.replace(fixture.image(fixture.untagged_image), "amd64", "arm64");
  CHECK(problem_of(fixture) == "image " + short_id(fixture.untagged_image) +
                                   " cannot be used: its configuration does not match its ID | | ignored");
}

TEST_CASE("an image without layers is an image") {
  StoreFixture fixture;
  std::string config = R"({"rootfs":{"type":"layers"}})";
  fixture.tree.write(fixture.image(sha256_hex(config)), config);
  CHECK(problem_of(fixture) == "");
  CHECK_FALSE(fixture.read().images.at(sha256_hex(config)).top);
}

TEST_CASE("tags of images that are not there are passed over") {
  StoreFixture fixture;
  fixture.root.tag("ghost:1", Digest(64, '0'));
  CHECK(problem_of(fixture) == "`ghost:1` names image 000000000000, which is not there | | ignored");
}

TEST_CASE("a repositories.json that cannot be read is fatal, none at all means no tags") {
  StoreFixture fixture;
  std::string path = "/image/overlay2/repositories.json";
  auto problem_with = [&](const std::string& text) {
    fixture.tree.write(path, text);
    return problem_of(fixture);
  };
  CHECK(problem_with("{\"Repositories\":") == "repositories.json is no valid JSON | | fatal");
  CHECK(problem_with("[]") == "repositories.json is no JSON object | | fatal");
  CHECK(problem_with(R"({"Repositories":[]})") == "repositories.json has no list of repositories | | fatal");
  CHECK(problem_with(R"({"Repositories":{"a":1}})") ==
        "repositories.json has no list of references for `a` | | fatal");
  CHECK(problem_with(R"({"Repositories":{"a":{"a:1":"x"}}})") ==
        "repositories.json has no image ID for `a:1` | | fatal");
  CHECK(problem_with(R"({"Repositories":null})") == "");
  fixture.remove(path);
  CHECK(problem_of(fixture) == "");
  CHECK(fixture.read().images.at(fixture.app_image).references.empty());
}
