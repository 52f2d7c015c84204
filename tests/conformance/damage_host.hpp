#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tests/conformance/sample_host.hpp"

namespace drover::test {

/// The sample under a driver of the caller's choice, with damage in it. It holds sample-base:1; sample-app:1
/// (also :latest) on it, with the container `worker`; and sample-app:slim on that: one layer each.
class DamageHost {
 public:
  explicit DamageHost(DriverKind source, const TestFilesystem& = filesystem("ext4"));

  /// One kind of damage, and what must stay behind for it: the names of images and containers, sorted.
  struct Kind {
    const char* name;
    std::function<void(DamageHost&)> make;
    std::vector<std::string> left;
    bool found_by_proof = false;  ///< not before
  };
  static const std::vector<Kind>& kinds();

  /// Makes the damage, and remembers all that is there then.
  void damage(const Kind&);
  /// How the source's store and the configuration differ from that, one a line.
  std::string changes() const;

  /// Checks (doctest) that under this driver there is all but what had to stay behind, that it is sound, and
  /// shows what it showed.
  void check_rest(DriverKind target, const Kind&) const;
  /// As drover names the migration's target.
  Run migrate(DriverKind target, std::vector<std::string> more = {"--keep-going"}) const;

  SampleHost host;
  DriverKind source;

 private:
  friend struct Damages;
  Inventory records() const;
  std::string layer_record(const std::string& image, const std::string& file) const;
  LayerId top_files(const std::string& image) const;
  std::string container_file(const std::string& file) const;

  TestFolder folder_;
  Inventory sound_;  ///< the records before the damage
};

}  // namespace drover::test
