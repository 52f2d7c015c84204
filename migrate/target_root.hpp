#pragma once
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "migrate/root_move.hpp"

namespace drover {

/// Where a move into another data root would lead, checked without changing anything: `dir` is what the user
/// names and the engine's configuration will. Throws Error (usage) for a path that cannot be meant: not
/// absolute, a symlink, the old root, inside of it or around it; Error for one that is not absent or empty
/// (`lost+found` aside), or whose parent is absent; Error (in_use) if a migration is open there.
RootMove plan_root_move(const std::string& dir, const DataRoot& old_root);

/// Throws Error (in_use) that names what is mounted below a root. The root itself may be a mount point.
/// `fix`: what to do about a mount that is meant to be there.
void refuse_mounts_below(const std::string& root, const std::string& fix);

/// The path, or the nearest folder above it that exists.
std::string existing_part(const std::string& path);

/// The files of an engine's that are made anew by it, and no user's: "tmp", "tmp-old".
bool is_engine_scratch(const std::string& name);

/// What is drover's own there, or the filesystem's: its folder, where drivers are tried out, `lost+found`.
bool is_drovers(const std::string& name);

/// Names at a data root's top that engines have given, drivers' homes among them.
bool is_engine_name(const std::string& name);

/// "`a`, `b` and 3 more"
std::string some_names(const std::vector<std::string>& names);

}  // namespace drover
