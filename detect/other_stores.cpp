#include "detect/other_stores.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "detect/containerd_config.hpp"
#include "detect/podman_config.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"

namespace drover {

namespace {

constexpr const char* kContainerdConfig = "/etc/containerd/config.toml";

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

/// Counts the objects in a file's top-level array; nothing if it cannot be read as one.
std::optional<std::uint64_t> count_array(const std::string& folder, const char* file) {
  auto dir = Dir::try_open(folder);
  auto text = dir ? dir->try_read(file) : std::nullopt;
  if (!text) return 0;
  auto list = try_parse_json(*text);
  if (!list || !list->is_array()) return std::nullopt;
  return static_cast<std::uint64_t>(
      std::count_if(list->begin(), list->end(), [](const nlohmann::json& item) { return item.is_object(); }));
}

std::vector<OtherStore> podman() {
  PodmanConfig config = read_podman_config("", PodmanEnvironment::of_this_process(), std::nullopt);
  std::vector<OtherStore> found;
  if (config.graph_root.empty()) return found;
  for (const auto& driver : podman_stores(config.graph_root))
    found.push_back(count_podman_store(config.graph_root, driver));
  bool listed = config.driver && std::any_of(found.begin(), found.end(),
                                             [&](const auto& s) { return s.driver == *config.driver; });
  if (!listed && (config.driver || (found.empty() && is_folder(config.graph_root))))
    found.insert(found.begin(), count_podman_store(config.graph_root, config.driver.value_or("")));
  auto database = podman_database(config.graph_root);
  for (auto& store : found) {
    if (!config.text.empty()) store.config = config.base_path;
    store.configured = config.driver == store.driver;
    if (database)
      store.note = "Podman goes by the driver in its database (" + *database + "), not by storage.conf";
  }
  return found;
}

void add_containerd(std::vector<OtherStore>& found, const std::string& root, const std::string& note) {
  for (const auto& snapshotter : containerd_stores(root)) {
    found.push_back(count_containerd_store(root, snapshotter));
    found.back().note = note;
  }
}

std::vector<OtherStore> containerd(const std::string& docker_data_root) {
  ContainerdConfig config = read_containerd_config("", kContainerdConfig, installed_containerd());
  std::vector<OtherStore> found;
  add_containerd(found, config.root, "");
  bool listed =
      std::any_of(found.begin(), found.end(), [&](const auto& s) { return s.driver == config.snapshotter; });
  if (!listed && (is_folder(config.root) || config.configured))
    found.insert(found.begin(), count_containerd_store(config.root, config.snapshotter));
  for (auto& store : found) {
    if (config.exists) store.config = config.path;
    store.configured = store.driver == config.snapshotter;
  }
  if (::access(docker_data_root.c_str(), R_OK | X_OK) == 0)
    add_containerd(found, docker_data_root + "/containerd/daemon",
                   "of the containerd that dockerd starts for itself");
  return found;
}

}  // namespace

OtherStore count_podman_store(const std::string& graph_root, const std::string& driver) {
  OtherStore store;
  store.engine = "podman";
  store.driver = driver;
  store.root = graph_root;
  if (driver.empty()) return store;
  std::string prefix = graph_root + "/" + driver;
  store.images = count_array(prefix + "-images", "images.json");
  store.containers = count_array(prefix + "-containers", "containers.json");
  store.layers = count_array(prefix + "-layers", "layers.json");
  return store;
}

OtherStore count_containerd_store(const std::string& root, const std::string& snapshotter) {
  OtherStore store;
  store.engine = "containerd";
  store.driver = snapshotter;
  store.root = root;
  auto dir = Dir::try_open(root + "/io.containerd.snapshotter.v1." + snapshotter);
  if (!dir) return store;
  // btrfs keeps them in three folders.
  std::uint64_t snapshots = 0;
  for (const char* folder : {"snapshots", "active", "view"})
    if (auto sub = dir->try_sub(folder)) snapshots += sub->list().size();
  store.layers = snapshots;
  return store;
}

std::vector<OtherStore> find_other_stores(const std::string& docker_data_root,
                                          std::vector<std::string>& troubles) {
  std::vector<OtherStore> found;
  auto add = [&](auto&& find) {
    try {
      auto more = find();
      found.insert(found.end(), more.begin(), more.end());
    } catch (const Error& e) {
      if (std::find(troubles.begin(), troubles.end(), e.what()) == troubles.end())
        troubles.push_back(e.what());
    }
  };
  add([] { return podman(); });
  add([&] { return containerd(docker_data_root); });
  return found;
}

}  // namespace drover
