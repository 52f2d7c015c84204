#pragma once
#include "drivers/entry_placer.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// Makes the empty directory `to` a copy of the tree `from`: everything of it, with all attributes.
/// `may_link`: both are immutable and may share inodes; only directories are made anew then.
void clone_tree(const Dir& from, const Dir& to, bool may_link);

}  // namespace drover
