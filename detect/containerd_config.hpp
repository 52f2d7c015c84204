#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "detect/toml_edit.hpp"

namespace drover {

/// What containerd's config.toml says about the snapshotter of its CRI plugin (Kubernetes, crictl). Other
/// clients (ctr, nerdctl, dockerd) name theirs themselves.
struct ContainerdConfig {
  std::string path;
  std::string text;
  bool exists = false;
  std::int64_t version = 2;  ///< of the file's layout: 1, 2 or 3
  TomlPath key;              ///< where this version keeps the snapshotter
  std::string root;          ///< "/var/lib/containerd", or the key `root`
  std::string snapshotter;   ///< as configured, or the default
  bool configured = false;
  bool cri_disabled = false;
  std::vector<std::string> imports;  ///< other files that are read as well
  /// Snapshotters that somebody has set up: those that run beside containerd, and built-in ones with
  /// settings.
  std::vector<std::string> set_up;
  std::vector<std::string> runtime_snapshotters;  ///< runtimes with one of their own: "kata: devmapper"
};

/// Reads it from a path below `root` ("" outside of tests). `engine_major` is that of the installed
/// containerd: a new file gets the layout that it likes best. Throws Error if it cannot be read, is no TOML,
/// or of an unknown version.
ContainerdConfig read_containerd_config(const std::string& root, const std::string& path,
                                        std::optional<int> engine_major);

/// config.toml with this snapshotter.
std::string containerd_config_with_snapshotter(const ContainerdConfig&, const std::string& snapshotter);

/// The snapshotters that have snapshots below containerd's root.
std::vector<std::string> containerd_stores(const std::string& containerd_root);

/// The major version of the installed containerd, if there is one that says.
std::optional<int> installed_containerd();

}  // namespace drover
