#pragma once
#include <string>
#include <vector>

#include "drivers/sys/dir.hpp"

namespace drover {

/// The absolute paths into the data root that the engine writes down (seen with 20.10; it works most of them
/// out anew when a container starts, but shows the old ones until then), and those that users give it.

/// A container's config.v2.json after its data root has moved: LogPath, HostnamePath, HostsPath,
/// ResolvConfPath, ShmPath and the Source of volumes, where they lie under the old root. What the user has
/// bound stays what the user has said. All else stays, byte for byte. Throws Error if it is no JSON object.
std::string moved_container_config(const std::string& text, const std::string& old_root,
                                   const std::string& new_root);

/// A plugin's config.json likewise: Rootfs. The mounts that its user has set stay.
std::string moved_plugin_config(const std::string& text, const std::string& old_root,
                                const std::string& new_root);

/// A path of the user's that leads into a data root: it stays as it is when the root moves.
struct UserPath {
  std::string of;  ///< "container web", "volume data", "plugin sshfs:latest"
  std::string path;
};

/// Those in a data root's records (of containers, volumes and plugins) that lead into `root`, by that path or
/// by another one (is_within).
std::vector<UserPath> user_paths_into(const Dir& data_root, const std::string& root);

}  // namespace drover
