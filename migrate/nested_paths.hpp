#pragma once
#include <string>

#include "drivers/sys/dir.hpp"

namespace drover {

/// Whether a path leads to this very folder.
bool leads_to(const std::string& path, const Dir& folder);

/// Whether a folder is another one or lies in it, by its path or by what the path leads to: symlinks and bind
/// mounts give one folder several paths. Neither need be there; of what is not there the path alone counts.
bool is_within(const std::string& inner, const std::string& outer);

}  // namespace drover
