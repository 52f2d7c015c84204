// What a switch writes down of the old records, and what is missing of them later.
#include "migrate/record_list.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

const std::string kId(64, 'a'), kOther(64, 'b');

struct Listed {
  Listed() {
    for (const char* below :
         {"/image/repositories.json", "/image/imagedb/content/sha256/x", "/image/layerdb/sha256/c/cache-id",
          "/image/layerdb/mounts/m/parent", "/image/distribution/v2metadata-by-diffid/sha256/d"})
      tree.write(below, "some");
    for (const std::string& id : {kId, kOther}) tree.write("/containers/" + id + "/config.v2.json", "{}");
    tree.write("/kept/x", "");
    write_record_list(dir("/kept"), dir("/image"), dir("/containers"));
  }
  Dir dir(const char* below) const { return Dir::open(tree.path(below)); }
  std::string lost() const {
    std::string path = "`" + tree.path("/image/");
    std::string text = lost_record(dir("/kept"), dir("/image"), dir("/containers")).value_or("");
    return text.starts_with(path) ? text.substr(path.size()) : text;
  }
  HostTree tree;
};

}  // namespace

TEST_CASE("what was put aside is all there, or it is said what is not") {
  Listed listed;
  CHECK(listed.lost() == "");
  SUBCASE("a file") {
    std::filesystem::remove(listed.tree.path("/image/imagedb/content/sha256/x"));
    CHECK(listed.lost() == "imagedb/content` is missing");
    listed.tree.write("/image/imagedb/content/sha256/y", "some");
    CHECK(listed.lost() == "imagedb/content` has other files than it had");
  }
  SUBCASE("what was in a file") {
    listed.tree.write("/image/repositories.json", "");
    CHECK(listed.lost() == "`" + listed.tree.path("/image") + "` has other files than it had");
  }
  SUBCASE("a mount, deep down") {
    std::filesystem::remove_all(listed.tree.path("/image/layerdb/mounts/m"));
    CHECK(listed.lost() == "layerdb/mounts` is missing");
  }
  SUBCASE("a container, or what it is") {
    listed.tree.write("/containers/" + kId + "/config.v2.json", "");
    CHECK(listed.lost() == "container " + kId.substr(0, 12) + " is missing");
    std::filesystem::remove_all(listed.tree.path("/containers/" + kId));
    CHECK(listed.lost() == "container " + kId.substr(0, 12) + " is missing");
    CHECK_FALSE(lost_record(listed.dir("/kept"), listed.dir("/image"), std::nullopt));
  }
  SUBCASE("containers that came since") {
    listed.tree.write("/containers/" + std::string(64, 'c') + "/config.v2.json", "{}");
    CHECK(listed.lost() == "");
  }
  SUBCASE("no list: an earlier drover's") {
    std::filesystem::remove(listed.tree.path("/kept/" + std::string(kRecordList)));
    std::filesystem::remove_all(listed.tree.path("/image/layerdb"));
    CHECK(listed.lost() == "");
  }
  SUBCASE("a list that makes no sense") {
    for (const char* text :
         {"", "[]", "{}", R"({"folders":[],"containers":[1]})", R"({"folders":{},"containers":["../x"]})"}) {
      listed.tree.write("/kept/" + std::string(kRecordList), text);
      CHECK_THROWS_AS(listed.lost(), Error);
    }
  }
}
