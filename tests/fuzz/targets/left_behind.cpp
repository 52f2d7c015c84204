// left-behind.json: what a migration that kept going has not carried.
#include "migrate/left_behind_record.hpp"

#include "drivers/driver.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(left_behind) {
  const auto left = parse_left_behind(std::string(input));
  if (!left) return;
  for (const auto& [part, what] : *left)
    for (const LayerId& id : what.files) promise_one_name(id, "what belongs to it are layers' names");
  const std::string text = left_behind_text(*left);
  const auto again = parse_left_behind(text);
  promise(again && again->size() == left->size(), "what is written is read again");
  promise_same(left_behind_text(*again), text, "and is the same");
}
