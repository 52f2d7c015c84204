#pragma once
#include <sys/types.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// What the homes of all drivers are made of: folders with the mode and owner that the engine gives them.

void set_owner_and_mode(const Dir&, mode_t, uid_t, gid_t);

/// Makes a folder that must not exist.
Dir make_folder(const Dir& in, std::string_view name, mode_t, uid_t, gid_t);

/// Makes a folder, or takes the one that is there, and gives it this mode and owner.
Dir ensure_folder(const Dir& in, std::string_view name, mode_t, uid_t, gid_t);

/// The folder above a home, and the home's name in it.
Dir folder_above(const std::string& home);
std::string name_of(const std::string& home);

/// Throws Error unless `id` is a layer ID.
void require_layer_id(const LayerId& id);

/// The first symlink on any of these paths in a home.
std::optional<Symlink> find_symlink_in(const std::string& home, std::initializer_list<std::string> paths);

/// The entries of a folder (nothing if it is absent) whose names are layer IDs.
std::vector<LayerId> layer_ids_in(const std::string& folder);

}  // namespace drover
