#pragma once
#include <vector>

#include "drivers/sys/dir.hpp"
#include "migrate/store.hpp"

namespace drover {

/// What a migration that keeps going must know of the records besides what read_inventory() says, before it
/// copies them. All of it is fatal to the parts that it names.

/// Layers without a tar-split: their content cannot be proven, and no engine can save or push them.
std::vector<StoreProblem> unprovable_layers(const Inventory&);

/// Reads all files of `image/<driver>`, `containers/` and `buildkit/` to their end, and tells of those that
/// cannot be read.
std::vector<StoreProblem> unreadable_records(const Dir& data_root, const Inventory&);

}  // namespace drover
