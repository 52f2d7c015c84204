#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "drivers/driver.hpp"
#include "migrate/progress.hpp"
#include "migrate/store.hpp"

namespace drover {

/// One layer of which something is to be said.
struct LayerFinding {
  std::string layer;                  ///< its chain ID, or a writable layer's mount ID
  std::vector<std::string> concerns;  ///< images and containers that stand on it
  std::string detail;                 ///< what is wrong, naming the path
};

/// What a proof of a store has found.
struct VerifyReport {
  DriverKind driver = DriverKind::overlay2;
  std::uint64_t images = 0, containers = 0;  ///< that were looked at
  std::uint64_t proven = 0, proven_bytes = 0;
  std::uint64_t walked = 0;                ///< writable layers: no digest tells what is in them
  std::vector<StoreProblem> problems;      ///< of the records
  std::vector<LayerFinding> damaged;       ///< by layer
  std::vector<LayerFinding> not_provable;  ///< sound as far as one can tell
  bool sound() const;
};

/// Proves layers of a driver's store without changing anything: all of them, or those that `names` stand on.
/// A name is an image (tag, ID or the beginning of it), a container (name, or beginning of an ID) or a layer
/// (chain ID, diff ID, cache ID or the beginning of one). Throws Error for a name that nothing has, or
/// several have.
VerifyReport verify_store(const DataRoot&, DriverKind, const HomeSettings&,
                          const std::vector<std::string>& names, unsigned threads, Progress&);

}  // namespace drover
