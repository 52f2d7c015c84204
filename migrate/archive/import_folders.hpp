#pragma once
#include <string>
#include <utility>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// Whether there is anything at a path below a directory; no symlink is followed.
bool is_there(const Dir& root, const std::string& path);

/// The folders that an engine would make for its records under this driver when it starts, and those that
/// these moves lead to, as far as they are not there; parents first.
std::vector<std::string> missing_record_folders(
    const Dir& data_root, DriverKind, const std::vector<std::pair<std::string, std::string>>& moves);
/// Makes them with the modes that an engine gives them. Again is no error.
void make_record_folders(const Dir& data_root, const std::vector<std::string>& paths, const RootOwner&);
/// Removes those of them that are empty.
void remove_record_folders(const Dir& data_root, const std::vector<std::string>& paths);

}  // namespace drover
