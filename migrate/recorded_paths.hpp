#pragma once
#include <optional>
#include <string>
#include <unordered_set>

#include "migrate/store.hpp"

namespace drover {

/// The paths that a layer's record (its tar-split) names, relative to its root; nothing if it has no record.
/// Throws Error for a record that is damaged.
std::optional<std::unordered_set<std::string>> recorded_paths(const Dir& data_root, DriverKind,
                                                              const Digest& chain_id);

}  // namespace drover
