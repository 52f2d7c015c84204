#include "detect/containerd_config.hpp"

#include <algorithm>
#include <cstdio>

#include "detect/program_version.hpp"
#include "detect/small_file.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr const char* kCri = "io.containerd.grpc.v1.cri";
constexpr const char* kCriImages = "io.containerd.cri.v1.images";
constexpr const char* kCriRuntime = "io.containerd.cri.v1.runtime";

TomlPath snapshotter_key(std::int64_t version) {
  switch (version) {
    case 1:
      return {"plugins", "cri", "containerd", "snapshotter"};
    case 2:
      return {"plugins", kCri, "containerd", "snapshotter"};
    case 3:
      return {"plugins", kCriImages, "snapshotter"};
    default:
      throw Error("its version " + std::to_string(version) + " is none that drover knows (1, 2, 3)",
                  "set the snapshotter by hand");
  }
}

TomlPath runtimes_table(std::int64_t version) {
  if (version == 1) return {"plugins", "cri", "containerd", "runtimes"};
  return {"plugins", version == 2 ? kCri : kCriRuntime, "containerd", "runtimes"};
}

TomlPath below(TomlPath path, const std::string& key) {
  path.push_back(key);
  return path;
}

std::int64_t file_version(const std::string& text, std::optional<int> engine_major) {
  if (toml_keys(text, {}).empty()) return engine_major && *engine_major >= 2 ? 3 : 2;
  // A file that does not say is of version 1 (containerd services/server/config).
  return toml_integer(text, {"version"}).value_or(1);
}

std::vector<std::string> snapshotters_set_up(const std::string& text) {
  std::vector<std::string> found;
  for (const std::string& name : toml_keys(text, {"proxy_plugins"}))
    if (toml_string(text, {"proxy_plugins", name, "type"}) == "snapshot") found.push_back(name);
  constexpr std::string_view prefix = "io.containerd.snapshotter.v1.";
  for (const std::string& plugin : toml_keys(text, {"plugins"})) {
    if (!plugin.starts_with(prefix) || toml_keys(text, {"plugins", plugin}).empty()) continue;
    // devmapper does not load without the name of its pool.
    std::string name = plugin.substr(prefix.size());
    if (name != "devmapper" || !toml_string(text, {"plugins", plugin, "pool_name"}).value_or("").empty())
      found.push_back(name);
  }
  return found;
}

void read_settings(ContainerdConfig& config, std::optional<int> engine_major) {
  const std::string& text = config.text;
  config.version = file_version(text, engine_major);
  config.key = snapshotter_key(config.version);
  config.root = toml_string(text, {"root"}).value_or("");
  if (config.root.empty()) config.root = "/var/lib/containerd";
  auto snapshotter = toml_string(text, config.key);
  config.configured = snapshotter && !snapshotter->empty();
  config.snapshotter = config.configured ? *snapshotter : "overlayfs";
  for (const std::string& plugin : toml_strings(text, {"disabled_plugins"}))
    if (plugin == "cri" || plugin == kCri || plugin == kCriImages) config.cri_disabled = true;
  config.imports = toml_strings(text, {"imports"});
  config.set_up = snapshotters_set_up(text);
  TomlPath runtimes = runtimes_table(config.version);
  for (const std::string& name : toml_keys(text, runtimes))
    if (auto own = toml_string(text, below(below(runtimes, name), "snapshotter")); own && !own->empty())
      config.runtime_snapshotters.push_back(name + ": " + *own);
}

}  // namespace

ContainerdConfig read_containerd_config(const std::string& root, const std::string& path,
                                        std::optional<int> engine_major) {
  ContainerdConfig config;
  config.path = path;
  if (auto text = read_small_file(root + path)) {
    config.exists = true;
    config.text = std::move(*text);
  }
  with_context("cannot read `" + path + "`", [&] { read_settings(config, engine_major); });
  return config;
}

std::string containerd_config_with_snapshotter(const ContainerdConfig& config,
                                               const std::string& snapshotter) {
  std::string text = config.text;
  if (toml_keys(text, {}).empty()) {
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += "version = " + std::to_string(config.version) + "\n";
  }
  return toml_set_string(text, config.key, snapshotter);
}

std::vector<std::string> containerd_stores(const std::string& containerd_root) {
  std::vector<std::string> found;
  auto root = Dir::try_open(containerd_root);
  if (!root) return found;
  constexpr std::string_view prefix = "io.containerd.snapshotter.v1.";
  for (const DirEntry& entry : root->list()) {
    if (!entry.name.starts_with(prefix)) continue;
    auto home = root->try_sub(entry.name);
    // Where there are snapshots depends on the snapshotter; each has a folder that is not empty then.
    bool used = false;
    for (const char* name : {"snapshots", "active", "view"})
      if (auto dir = home ? home->try_sub(name) : std::nullopt) used = used || !dir->list().empty();
    if (used) found.push_back(entry.name.substr(prefix.size()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<int> installed_containerd() {
  const std::string text = version_text_of("containerd");
  // "containerd github.com/containerd/containerd 1.6.20~ds1 ...", with or without a "v".
  std::size_t digit = text.find(' ', text.find('/'));
  digit = digit == std::string::npos ? digit : text.find_first_of("0123456789", digit);
  int major = 0;
  if (digit == std::string::npos || std::sscanf(text.c_str() + digit, "%d.", &major) != 1)
    return std::nullopt;
  return major;
}

}  // namespace drover
