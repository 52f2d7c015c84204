#pragma once
#include <vector>

#include "detect/data_root.hpp"
#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// The drivers that have images, layers or containers in a data root, whether the engine shows them or not.
std::vector<DriverKind> full_stores(const Dir& data_root);

/// Throws Error if the target's home or records would take the place of something that is no empty store of
/// an engine's: one with data in it, a symlink, or files of somebody else's. An empty store is what an engine
/// that was started with the target once has left; it is put aside.
void require_free_target(const DataRoot&, const Dir&, DriverKind to, const HomeSettings&);

}  // namespace drover
