#pragma once
#include <optional>
#include <string>
#include <vector>

namespace drover {

/// What Podman (and Buildah, Skopeo, CRI-O) take from storage.conf.
struct PodmanConfig {
  std::string path;       ///< the file to write
  std::string base_path;  ///< the file that counts now; not `path` where that would hide the distribution's
  std::string text;       ///< of base_path; empty if there is none
  std::optional<std::string> driver;
  std::string graph_root;
  bool rootless = false;
  /// What wins over `path` whatever is written there: STORAGE_DRIVER, drop-ins with a driver of their own.
  std::vector<std::string> overrides;
};

/// The environment that the search for storage.conf looks at.
struct PodmanEnvironment {
  bool rootless = false;
  unsigned uid = 0;
  std::string home, xdg_config_home, xdg_data_home, storage_conf, storage_driver;
  static PodmanEnvironment of_this_process();
};

/// Finds and reads it. `config`: a file that the user names. Paths are below `root` ("" outside of tests).
/// Throws Error if the file cannot be read or is no TOML.
PodmanConfig read_podman_config(const std::string& root, const PodmanEnvironment&,
                                const std::optional<std::string>& config);

/// storage.conf with this driver. General options that the driver refuses are taken out; `removed` gets them.
std::string podman_config_with_driver(const PodmanConfig&, const std::string& driver,
                                      std::vector<std::string>* removed);

/// The drivers that have images, layers or containers in a store ("overlay", "vfs").
std::vector<std::string> podman_stores(const std::string& graph_root);
/// Podman's own database, which remembers a driver and wins over storage.conf; nothing if there is none yet.
std::optional<std::string> podman_database(const std::string& graph_root);

}  // namespace drover
