#pragma once
#include <string>
#include <vector>

#include "migrate/archive/archive_head.hpp"
#include "migrate/store.hpp"

namespace drover {

/// What an archive is to hold: the images and containers of these names (all, if there are none), their
/// layers, and what the records say of them. Always in the same order. Throws Error for a name that nothing
/// or too much has, and for what is needed and damaged.
ArchiveHead choose_for_export(const Dir& data_root, const Inventory&, const std::vector<std::string>& names);

}  // namespace drover
