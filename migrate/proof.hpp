#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "migrate/store.hpp"

namespace drover {

/// What a proof says of one layer.
struct LayerProof {
  enum class Verdict {
    proven,        ///< its tar, rebuilt, has the diff ID
    not_provable,  ///< the record does not hold enough to rebuild it (no tar-split, sparse members)
    damaged,       ///< the files are not what the record says
  };
  Verdict verdict = Verdict::proven;
  std::string detail;  ///< what is wrong or missing, naming the path
  std::uint64_t bytes = 0;
};

/// Rebuilds an image layer's tar from its tar-split (in `data_root`, under the records of `records`) and the
/// files that `driver` shows for it, and compares its digest with the diff ID.
LayerProof prove_layer(const Dir& data_root, DriverKind records, const LayerRecord&, const Driver& driver);

}  // namespace drover
