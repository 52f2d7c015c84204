#pragma once
#include <map>
#include <string>
#include <vector>

#include "tests/conformance/sample_host.hpp"

namespace drover::test {

/// The sample with all else that a root can hold, and a place on another filesystem.
struct MoveHost {
  explicit MoveHost(const std::string& target, const std::string& source = "ext4");
  Run migrate(const std::string& to = "") const;
  /// As the engine's configuration says where the root is, once it does.
  Run run_by_config(std::vector<std::string> words) const;
  /// Checks (doctest) that all of the old root is as it was, change times included.
  void check_untouched() const;
  /// Checks that everything is in the new root, by other means than drover's own comparison.
  void check_carried() const;

  SampleHost host;
  TestFolder place;
  std::string root;
  std::map<std::string, std::string> before;
};

}  // namespace drover::test
