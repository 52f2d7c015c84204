#include "detect/podman_config.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <utility>

#include "detect/small_file.hpp"
#include "detect/toml_edit.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

const TomlPath kDriver = {"storage", "driver"};

std::string own_config_folder(const PodmanEnvironment& env) {
  return (env.xdg_config_home.empty() ? env.home + "/.config" : env.xdg_config_home) + "/containers";
}

/// A path with $HOME and $UID put in, as containers/storage does it.
std::string expanded(std::string path, const PodmanEnvironment& env) {
  for (const auto& [name, value] : {std::pair("$HOME", env.home), std::pair("$UID", std::to_string(env.uid))})
    for (std::size_t at; (at = path.find(name)) != std::string::npos;)
      path.replace(at, std::string(name).size(), value);
  return path;
}

/// containers/storage up to 1.59: one file counts, the first of these.
void find_file(PodmanConfig& config, const std::string& root, const PodmanEnvironment& env) {
  auto exists = [&](const std::string& path) { return read_small_file(root + path).has_value(); };
  config.path = "/etc/containers/storage.conf";
  std::string own = own_config_folder(env) + "/storage.conf";
  if (!env.storage_conf.empty())
    config.path = env.storage_conf;
  else if (env.rootless || (!env.xdg_config_home.empty() && exists(own)))
    config.path = own;
  config.base_path = config.path;
  const std::string shared = "/usr/share/containers/storage.conf";
  if (!env.rootless && env.storage_conf.empty() && !exists(config.path) && exists(shared))
    config.base_path = shared;
}

/// containers/storage of Podman 6 reads these after the main file.
void find_overrides(PodmanConfig& config, const std::string& root, const PodmanEnvironment& env) {
  if (!env.storage_driver.empty())
    config.overrides.push_back("the environment: STORAGE_DRIVER=" + env.storage_driver);
  std::vector<std::string> folders = {"/usr/share/containers", "/etc/containers"};
  if (env.rootless) folders.push_back(own_config_folder(env));
  const std::string mode = env.rootless ? "/storage.rootless.conf.d" : "/storage.rootful.conf.d";
  for (const std::string& folder : folders)
    for (const std::string& below : {std::string("/storage.conf.d"), mode}) {
      auto dir = Dir::try_open(root + folder + below);
      if (!dir) continue;
      for (const DirEntry& entry : dir->list()) {
        std::string path = folder + below + "/" + entry.name;
        if (!entry.name.ends_with(".conf")) continue;
        if (auto driver = with_context("cannot read `" + path + "`", [&] {
              return toml_string(read_small_file(root + path).value_or(""), kDriver);
            }))
          config.overrides.push_back(path + " (Podman 6 and newer): driver = " + *driver);
      }
    }
  std::sort(config.overrides.begin(), config.overrides.end());
}

/// General options that a driver's option parser refuses (containers/storage drivers/*: options get the
/// chosen driver's prefix), and those whose values are written for overlay's mounts.
std::vector<std::string> refused_options(const std::string& driver) {
  static const std::map<std::string, std::vector<std::string>> refused = {
      {"vfs", {"mount_program", "mountopt", "size"}},
      {"btrfs", {"mount_program", "mountopt", "ignore_chown_errors"}},
      {"zfs", {"mount_program", "mountopt", "ignore_chown_errors"}},
  };
  auto found = refused.find(driver);
  return found == refused.end() ? std::vector<std::string>() : found->second;
}

}  // namespace

PodmanEnvironment PodmanEnvironment::of_this_process() {
  PodmanEnvironment env;
  env.uid = ::geteuid();
  env.rootless = env.uid != 0;
  env.home = environment_value("HOME");
  env.xdg_config_home = environment_value("XDG_CONFIG_HOME");
  env.xdg_data_home = environment_value("XDG_DATA_HOME");
  env.storage_conf = environment_value("CONTAINERS_STORAGE_CONF");
  env.storage_driver = environment_value("STORAGE_DRIVER");
  return env;
}

PodmanConfig read_podman_config(const std::string& root, const PodmanEnvironment& env,
                                const std::optional<std::string>& config_path) {
  PodmanConfig config;
  config.rootless = env.rootless;
  if (config_path)
    config.path = config.base_path = *config_path;
  else
    find_file(config, root, env);
  config.text = read_small_file(root + config.base_path).value_or("");
  config.graph_root = "/var/lib/containers/storage";
  if (env.rootless)
    config.graph_root =
        (env.xdg_data_home.empty() ? env.home + "/.local/share" : env.xdg_data_home) + "/containers/storage";
  with_context("cannot read `" + config.base_path + "`", [&] {
    config.driver = toml_string(config.text, kDriver);
    if (config.driver == "") config.driver.reset();
    if (config.driver == "overlay2") config.driver = "overlay";
    for (const char* key : {"rootless_storage_path", "graphroot"})
      if (auto path = toml_string(config.text, {"storage", key}); path && !path->empty())
        if (env.rootless || key == std::string("graphroot")) config.graph_root = expanded(*path, env);
  });
  find_overrides(config, root, env);
  return config;
}

std::string podman_config_with_driver(const PodmanConfig& config, const std::string& driver,
                                      std::vector<std::string>* removed) {
  std::string text = config.text;
  if (text.empty() && !config.rootless)
    // The system's file must name both folders (containers-storage.conf(5)).
    text = "[storage]\nrunroot = \"/run/containers/storage\"\ngraphroot = \"" + config.graph_root + "\"\n";
  text = toml_set_string(text, kDriver, driver);
  for (const std::string& option : refused_options(driver)) {
    TomlPath path = {"storage", "options", option};
    if (!toml_contains(text, path)) continue;
    // An empty value is as good as none.
    if (toml_string(text, path) == "") continue;
    text = toml_remove(text, path);
    if (removed) removed->push_back("storage.options." + option);
  }
  return text;
}

std::vector<std::string> podman_stores(const std::string& graph_root) {
  std::vector<std::string> found;
  for (const char* driver : {"overlay", "btrfs", "zfs", "vfs", "aufs"})
    for (const char* kind : {"-images/images.json", "-layers/layers.json", "-containers/containers.json"})
      // An empty list is "[]", perhaps with a newline.
      if (std::error_code error;
          std::filesystem::file_size(graph_root + "/" + driver + kind, error) > 3 && !error) {
        found.emplace_back(driver);
        break;
      }
  return found;
}

std::optional<std::string> podman_database(const std::string& graph_root) {
  for (const char* name : {"/db.sql", "/libpod/bolt_state.db"})
    if (std::error_code error; std::filesystem::exists(graph_root + name, error)) return graph_root + name;
  return std::nullopt;
}

}  // namespace drover
