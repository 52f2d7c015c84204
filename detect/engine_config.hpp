#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace drover {

/// What the Docker engine's configuration says about storage: daemon.json and the command line of dockerd
/// (running, or in its systemd unit and drop-ins, or /etc/default/docker).
struct EngineConfig {
  std::string config_path;  ///< daemon.json: where it is or would be
  bool config_exists = false;
  std::string config_text;  ///< its bytes

  std::optional<std::string> driver;           ///< daemon.json "storage-driver"
  std::vector<std::string> storage_opts;       ///< daemon.json "storage-opts"
  std::optional<std::string> data_root;        ///< daemon.json "data-root" or the old "graph"
  std::optional<std::string> userns_remap;     ///< daemon.json "userns-remap", else the flag
  std::optional<bool> containerd_snapshotter;  ///< daemon.json features.containerd-snapshotter

  /// Storage flags on dockerd's command line and where each was found: "running dockerd (pid 7)", "unit
  /// docker.service
  /// (/etc/default/docker)", "environment DOCKER_DRIVER of unit docker.service (...)", "/etc/default/docker".
  /// Those of a running engine come first. Engines that read another configuration file are left out.
  struct Flag {
    std::string name;  ///< "storage-driver", "storage-opt", "data-root", "userns-remap"
    std::string value, where;
    /// A running engine's, whose unit was read too: its next start goes by the unit.
    bool until_restart = false;
  };
  std::vector<Flag> flags;
};

/// Reads them. `config_path`: --config, else what a command line names, else /etc/docker/daemon.json. Throws
/// Error if daemon.json cannot be parsed or read; a missing one is fine.
EngineConfig read_engine_config(const std::optional<std::string>& config_path);

/// The same for a host whose files lie below `root` (also /proc). Paths in the result are without it.
EngineConfig read_engine_config_below(const std::string& root, const std::optional<std::string>& config_path);

/// daemon.json's text with this driver and these options in it. Options of other drivers go; `removed` gets
/// them. `text` may be empty (no file yet). Options of this driver stay unless `options` replaces their key.
std::string config_with_driver(const std::string& text, const std::string& driver,
                               const std::vector<std::string>& options, std::vector<std::string>* removed);

/// Whether this driver takes a storage-opt ("overlay2.size=10G"). The engine refuses to start with one that
/// its driver does not know (fuse-overlayfs and aufs ignore all); for a driver that drover does not know the
/// answer is yes.
bool storage_opt_fits(const std::string& driver, const std::string& option);

/// Throws Error (usage) unless these are storage-opts, KEY=VALUE, that this driver takes.
void require_storage_opts(const std::string& driver, const std::vector<std::string>& options);

/// The storage-opts in force: those of daemon.json, those of the command line.
std::vector<std::string> storage_opts_in_force(const EngineConfig&);
/// Those of a daemon.json. Throws Error if it cannot be parsed.
std::vector<std::string> storage_opts_of(const std::string& config_text);

/// Flags that would conflict with a driver in daemon.json (the engine refuses to start with both).
std::vector<EngineConfig::Flag> conflicting_flags(const EngineConfig&);

/// Those of them that keep the engine from starting, or from obeying, once daemon.json names `driver` and has
/// this text.
std::vector<EngineConfig::Flag> flags_in_the_way(const EngineConfig&, const std::string& driver,
                                                 const std::string& new_text);

/// Throws Error that names them, if there are any.
void refuse_flags_in_the_way(const EngineConfig&, const std::string& driver, const std::string& new_text);

}  // namespace drover
