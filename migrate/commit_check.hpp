#pragma once
#include <string>

#include "drivers/driver.hpp"
#include "migrate/store.hpp"

namespace drover {

/// A store with its records: `image/<driver>`, or where that was put aside, and the driver's home.
struct CarriedStore {
  const Dir& records;
  const Driver& home;
};

/// What can be told, in a time that grows with the number of layers, of whether the new store is still what
/// was proven: commit is about to delete the only other copy. What the engine has removed in the meantime is
/// no concern of it.
///
/// Throws Error (proof_failed) where a layer that both stores have shows nothing in the new one, or, of an
/// image, other names at its top than in the old one; where its tar-split is another; and where no image has
/// a tag any more though the old records give it one. An old store's devices and datasets are not opened: by
/// its records a layer has content if its size is not 0. Nor is a device that the engine has in use. `hint`
/// as for Error.
void require_still_whole(const CarriedStore& old, const CarriedStore& now, const std::string& hint);

/// The same for a rollback, which is about to delete the new store: of the old one no engine has used
/// anything since, or it has taken out of the records what it has removed.
///
/// Throws Error (proof_failed) where an image's layer that both stores have lacks, in the old one, names that
/// the new one shows at its top, or its tar-split; and where a container shows nothing though its image shows
/// something. A new store that is broken shows less, and is what a rollback leads away from. Devices and
/// datasets are not opened. `hint` as for Error.
void require_shown_still(const CarriedStore& old, const CarriedStore& now, const std::string& hint);

}  // namespace drover
