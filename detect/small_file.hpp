#pragma once
#include <optional>
#include <string>

namespace drover {

/// A configuration file's text, symlinks followed; nothing if there is none, or if it is no regular file (a
/// masked unit is a link to /dev/null). Throws Error if it cannot be read or is larger than 4 MiB.
std::optional<std::string> read_small_file(const std::string& path);

/// As the user wrote it, or where its symlinks lead if it exists.
std::string resolved_path(const std::string& path);

}  // namespace drover
