#pragma once
#include <functional>
#include <string>

#include "drivers/probe_scratch.hpp"

namespace drover {

/// What a real mount of an overlay with two lowers showed.
struct OverlayTrial {
  int mount_errno = 0;  ///< why it could not be mounted; 0: it was
  std::string failure;  ///< the first thing that went wrong in the mounted overlay; empty: nothing
  bool userxattr = false;
  /// What makes the engine compare trees instead of reading a layer's own directory ("Native Overlay Diff:
  /// false").
  bool opaque_copied_up = false, redirects = false;
  bool metacopy = false;  ///< a change of mode alone leaves the data below
};

/// Mounts the kernel's overlayfs in a scratch directory and creates, deletes, renames and replaces in it.
OverlayTrial try_overlayfs(const Scratch&);

/// The same through fuse-overlayfs. `message` gets what the program said where it did not mount.
OverlayTrial try_fuse_overlayfs(const Scratch&, const std::string& program, std::string& message);

}  // namespace drover
