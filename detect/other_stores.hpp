#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace drover {

/// A store on this host that is not the Docker engine's graph drivers': Podman's, or containerd's.
struct OtherStore {
  std::string engine;  ///< "podman" or "containerd"
  std::string
      driver;  ///< its storage driver or snapshotter; empty if nothing is configured and nothing is there
  std::string root;
  std::string config;       ///< the file that was read; empty if there is none
  bool configured = false;  ///< `driver` is the one that is configured or the default
  /// Where they can be counted cheaply; layers are snapshots in containerd's words.
  std::optional<std::uint64_t> images, containers, layers;
  std::string note;  ///< what the user should know; may be empty
};

/// Those of this process's user: one for each driver that has data, and the configured driver of each engine
/// whose root or configuration is there. What cannot be read adds a line to `troubles`.
std::vector<OtherStore> find_other_stores(const std::string& docker_data_root,
                                          std::vector<std::string>& troubles);

/// Podman's in a graph root: records are arrays in `<driver>-{images,containers,layers}/*.json`.
OtherStore count_podman_store(const std::string& graph_root, const std::string& driver);
/// containerd's below its root.
OtherStore count_containerd_store(const std::string& root, const std::string& snapshotter);

}  // namespace drover
