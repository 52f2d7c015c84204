#pragma once
#include <functional>
#include <string>

#include "drivers/entry_placer.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// Makes the empty directory `to` a copy of the tree `from`: everything of it, with all attributes.
/// `may_link`: both are immutable and may share inodes; only directories are made anew then. What `leave_out`
/// says yes to (paths from the root: "a/b") is passed over, with all below it; `to` may have such names.
TransferCount clone_tree(const Dir& from, const Dir& to, bool may_link,
                         const std::function<bool(const std::string& path)>& leave_out = {});

}  // namespace drover
