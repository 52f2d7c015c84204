// Every reader of foreign bytes, over its seeds and over whatever was found with it once.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/fuzz/inputs.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover::fuzz;

TEST_CASE("fuzz targets keep their promises over their seeds and finds") {
  REQUIRE(targets().size() >= 20);
  for (const Target& target : targets()) {
    const std::vector<std::string> inputs = inputs_of(target.name);  // throws where there are no seeds
    for (const std::string& input : inputs) {
      std::string broken;
      try {
        run_target(target, input);
      } catch (const BrokenPromise& promise) {
        broken = promise.what;
      }
      INFO("target ", std::string(target.name), ", input: ", input.substr(0, 300));
      CHECK_EQ(broken, "");
    }
  }
}

TEST_CASE("fuzz seeds and finds have a target") {
  for (const std::string& name : input_folders()) {
    INFO(name);
    CHECK(find_target(name) != nullptr);
  }
}
