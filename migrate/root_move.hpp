#pragma once
#include <sys/types.h>

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "drivers/sys/dir.hpp"

namespace drover {

/// A migration into another data root, as it is fixed when it begins: a part of its record. Both roots are
/// those that the engine works in: with userns-remap the folder `<uid>.<gid>` in what its configuration
/// names.
struct RootMove {
  std::string from_root, to_root;
  std::string config_root;  ///< what the engine's configuration will name
  /// Folders that were made for it when it began, the outermost first. Where the new root itself is not among
  /// them, its mode and owner were these:
  std::vector<std::string> made;
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;

  bool makes_root() const { return !made.empty() && made.back() == to_root; }
};

nlohmann::ordered_json root_move_json(const RootMove&);
/// The old root; nothing where it is gone. Throws Error where its path leads to the new root by now, or into
/// or around it, by a symlink or a mount that came to be there: what a commit deletes would be the new data.
std::optional<Dir> open_old_root(const RootMove&);

/// Throws Error "is damaged".
RootMove parse_root_move(const nlohmann::ordered_json&);

}  // namespace drover
