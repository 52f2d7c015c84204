#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace drover {

/// What the Docker engine's configuration says about storage: daemon.json and the command line of dockerd (running, or
/// in its systemd unit and drop-ins, or /etc/default/docker).
struct EngineConfig {
  std::string config_path;  ///< daemon.json: where it is or would be
  bool config_exists = false;
  std::string config_text;  ///< its bytes

  std::optional<std::string> driver;          ///< daemon.json "storage-driver"
  std::vector<std::string> storage_opts;      ///< daemon.json "storage-opts"
  std::optional<std::string> data_root;       ///< daemon.json "data-root" or the old "graph"
  std::optional<std::string> userns_remap;    ///< daemon.json "userns-remap"
  std::optional<bool> containerd_snapshotter; ///< daemon.json features.containerd-snapshotter

  /// Storage flags on dockerd's command line and where each was found ("unit docker.service", "running dockerd (pid 7)",
  /// "environment DOCKER_DRIVER").
  struct Flag {
    std::string name;  ///< "storage-driver", "storage-opt", "data-root"
    std::string value, where;
  };
  std::vector<Flag> flags;
};

/// Reads them. `config_path`: --config, else what a command line names, else /etc/docker/daemon.json. Throws Error if
/// daemon.json cannot be parsed or read; a missing one is fine.
EngineConfig read_engine_config(const std::optional<std::string>& config_path);

/// daemon.json's text with this driver and these options in it. Options of other drivers go; `removed` gets them.
/// `text` may be empty (no file yet). Options of this driver stay unless `options` replaces their key.
std::string config_with_driver(const std::string& text, const std::string& driver,
                               const std::vector<std::string>& options, std::vector<std::string>* removed);

/// Flags that would conflict with a driver in daemon.json (the engine refuses to start with both).
std::vector<EngineConfig::Flag> conflicting_flags(const EngineConfig&);

}  // namespace drover
