#pragma once
#include <memory>
#include <optional>
#include <string>

#include "tests/conformance/drivers_under_test.hpp"

namespace drover::test {

/// What the table of drivers refers to: how the engine mounts a layer, and what it counts on besides.

/// moby daemon/graphdriver/overlay2, Get: the kernel's overlay of the layer's folder and all in `lower`.
std::unique_ptr<EngineMount> mount_overlay(const std::string& home, const Driver&, const LayerId&);
/// moby daemon/graphdriver/fuse-overlayfs, Get: the same by the program.
std::unique_ptr<EngineMount> mount_fuse_overlayfs(const std::string& home, const Driver&, const LayerId&);

/// moby daemon/graphdriver/overlay, Get: the kernel's overlay of the layer's upper on one root.
std::unique_ptr<EngineMount> mount_old_overlay(const std::string& home, const Driver&, const LayerId&);

/// A layer has a root, or an upper and `lower-id` of a layer that has one.
void inspect_old_overlay(const std::string& home, const Driver&, const LayerId&,
                         const std::optional<LayerId>&);
/// `link` and `lower` lead where the engine follows them; `committed` is in a parent and not in the top.
void inspect_overlay(const std::string& home, const Driver&, const LayerId&, const std::optional<LayerId>&);
/// Each layer is a subvolume, and one with a parent is a snapshot of the parent's.
void inspect_subvolume(const std::string& home, const Driver&, const LayerId&, const std::optional<LayerId>&);

}  // namespace drover::test
