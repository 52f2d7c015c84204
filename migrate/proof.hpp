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
    proven,  ///< its tar, rebuilt, has the diff ID
    /// Nothing is known to be wrong, but its record cannot make its tar, as an engine has written it: there
    /// is none, the tar has sparse members, or an engine before 1.13 did not see where it ends. What files it
    /// names have their checksums.
    not_provable,
    damaged,  ///< the files are not what the record says, or the record does not lead to the diff ID
  };
  Verdict verdict = Verdict::proven;
  std::string detail;  ///< what is wrong or missing, naming the path
  std::uint64_t bytes = 0;
};

/// Rebuilds an image layer's tar from its tar-split (in `data_root`, under the records of `records`) and the
/// files that `driver` shows for it, and compares its digest with the diff ID.
LayerProof prove_layer(const Dir& data_root, DriverKind records, const LayerRecord&, const Driver& driver);

}  // namespace drover
