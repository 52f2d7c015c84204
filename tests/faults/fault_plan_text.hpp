#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace drover::faults {

/// What $DROVER_FAULT says (fault_plan.hpp).
struct Plan {
  enum class What { nothing, before, after, stop, term, short_write, error } what = What::nothing;
  int error = 0;
  unsigned long at = 0;  ///< 0: the first change that is `call` on a path with `part` in it
  std::string call, part;
  bool onwards = false;

  /// Whether this is the change that is meant; `made`: its number, `path`: what it is about.
  bool names(unsigned long made, std::string_view call, std::string_view path) const;
};

/// Nothing for a text that makes no sense.
std::optional<Plan> parse_plan(std::string_view text);

}  // namespace drover::faults
