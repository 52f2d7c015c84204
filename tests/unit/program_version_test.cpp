#include "detect/program_version.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string>

#include "drivers/sys/error.hpp"
#include "drivers/sys/process.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

/// PATH is this folder while it lives.
struct PathOf {
  explicit PathOf(const std::string& folder) : before(environment_value("PATH")) {
    ::setenv("PATH", folder.c_str(), 1);
  }
  ~PathOf() { ::setenv("PATH", before.c_str(), 1); }
  std::string before;
};

void put_program(const HostTree& tree, const std::string& name, const std::string& text) {
  tree.write(name, text);
  REQUIRE(::chmod(tree.path(name).c_str(), 0755) == 0);
}

}  // namespace

TEST_CASE("a program is asked for its version once, whoever asks first") {
  HostTree tree;
  PathOf path(tree.root());
  put_program(tree, "/drover-test-a",
              "#!/bin/sh\necho \"$1\" >> '" + tree.path("/asked") + "'\necho version 1\n");
  ask_version_of("drover-test-a");
  ask_version_of("drover-test-a");
  CHECK(version_text_of("drover-test-a") == "version 1\n");
  CHECK(version_text_of("drover-test-a") == "version 1\n");
  CHECK(tree.read("/asked") == "--version\n");
}

TEST_CASE("a program that is not there has no version; one that cannot run is an error, where it matters") {
  HostTree tree;
  PathOf path(tree.root());
  ask_version_of("drover-test-none");
  CHECK(version_text_of("drover-test-none").empty());
  put_program(tree, "/drover-test-b", "#!/no/such/interpreter\n");
  ask_version_of("drover-test-b");
  CHECK_THROWS_AS(version_text_of("drover-test-b"), SystemError);
}
