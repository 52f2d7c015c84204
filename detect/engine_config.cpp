#include "detect/engine_config.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "detect/dockerd_commands.hpp"
#include "detect/json_edit.hpp"
#include "detect/small_file.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

using Json = nlohmann::json;

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

/// The file that the engine of this host reads: the one that runs as docker.service, else what the unit would
/// start, else the only one that runs.
std::string choose_config_path(const std::string& root, const std::vector<DockerdCommand>& commands) {
  auto first = [&](auto wanted) -> const DockerdCommand* {
    auto found = std::find_if(commands.begin(), commands.end(), wanted);
    return found == commands.end() ? nullptr : &*found;
  };
  if (::geteuid() != 0) {
    const char *home = std::getenv("HOME"), *xdg = std::getenv("XDG_CONFIG_HOME");
    std::string own = default_config_path(true, home ? home : "", xdg ? xdg : "");
    auto uses_own = [&](const DockerdCommand& c) { return c.config_path == own; };
    if (first(uses_own) || read_small_file(root + own)) return own;
  }
  if (auto* c = first([](const DockerdCommand& d) { return d.running && d.by_unit; })) return c->config_path;
  if (auto* c = first([](const DockerdCommand& d) { return d.by_unit; })) return c->config_path;
  auto is_running = [](const DockerdCommand& d) { return d.running; };
  if (std::count_if(commands.begin(), commands.end(), is_running) == 1) return first(is_running)->config_path;
  return default_config_path(false, "", "");
}

[[noreturn]] void wrong_type(const std::string& key, const std::string& wanted) {
  throw Error("\"" + key + "\" is no " + wanted,
              "the engine would not start with it either: correct it first");
}

std::optional<std::string> string_at(const Json& json, const std::string& key) {
  auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::nullopt;
  if (!found->is_string()) wrong_type(key, "string");
  auto value = found->get<std::string>();
  return value.empty() ? std::nullopt : std::optional(value);
}

std::vector<std::string> strings_at(const Json& json, const std::string& key) {
  auto found = json.find(key);
  if (found == json.end() || found->is_null()) return {};
  if (!found->is_array()) wrong_type(key, "list of strings");
  for (const Json& item : *found)
    if (!item.is_string()) wrong_type(key, "list of strings");
  return found->get<std::vector<std::string>>();
}

Json parse_object(const std::string& text) {
  if (is_blank(text)) return Json::object();
  json_value_text(text, "");  // its complaint says where
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object())
    throw Error("not JSON that can be read: a string in it is not UTF-8, or a number is too large");
  return json;
}

void read_settings(EngineConfig& config) {
  Json json = parse_object(config.config_text);
  config.driver = string_at(json, "storage-driver");
  config.storage_opts = strings_at(json, "storage-opts");
  config.data_root = string_at(json, "data-root");
  if (!config.data_root) config.data_root = string_at(json, "graph");
  config.userns_remap = string_at(json, "userns-remap");
  auto features = json.find("features");
  if (features == json.end() || !features->is_object()) return;
  auto snapshotter = features->find("containerd-snapshotter");
  if (snapshotter != features->end() && snapshotter->is_boolean())
    config.containerd_snapshotter = snapshotter->get<bool>();
}

void add_flags(EngineConfig& config, const std::string& root, const std::vector<DockerdCommand>& commands) {
  const std::string real = resolved_path(root + config.config_path);
  auto same_file = [&](const DockerdCommand& c) {
    return c.config_path == config.config_path || resolved_path(root + c.config_path) == real;
  };
  bool has_unit = std::any_of(commands.begin(), commands.end(), [&](const DockerdCommand& c) {
    return !c.running && c.by_unit && same_file(c);
  });
  for (const DockerdCommand& command : commands) {
    if (!same_file(command)) continue;
    for (EngineConfig::Flag flag : command.flags) {
      flag.until_restart = command.running && command.by_unit && has_unit;
      if (flag.name == "userns-remap" && !config.userns_remap) config.userns_remap = flag.value;
      config.flags.push_back(std::move(flag));
    }
  }
}

/// The key of "key=value", as the engine compares it.
std::string option_key(const std::string& option) {
  std::string key = option.substr(0, option.find('='));
  key.erase(0, std::min(key.find_first_not_of(" \t"), key.size()));
  key.erase(key.find_last_not_of(" \t") + 1);
  std::transform(key.begin(), key.end(), key.begin(), [](unsigned char c) { return std::tolower(c); });
  return key;
}

/// What a driver's option parser knows (moby daemon/graphdriver/*: parseOptions); a prefix where it ends with
/// a dot.
struct OptionRow {
  const char *driver, *key;
};
constexpr OptionRow kOptions[] = {
    {"overlay2", "overlay2.size"},
    {"overlay2", "overlay2.override_kernel_check"},
    {"btrfs", "btrfs.min_space"},
    {"zfs", "zfs.fsname"},
    {"vfs", "size"},
    {"vfs", "vfs.xattrs"},
    {"devicemapper", "dm."},
    {"overlay", "overlay.override_kernel_check"},
};
constexpr const char* kWithoutOptions[] = {"fuse-overlayfs", "aufs"};

/// A list of strings laid out as the old one was: each on its own line, or all on one.
std::string list_text(const std::vector<std::string>& items, const std::optional<std::string>& old) {
  std::string lead, separator = ", ", tail;
  if (old && old->find('\n') != std::string::npos) {
    std::size_t first = old->find_first_not_of(" \t\r\n", 1);
    std::size_t last = old->find_last_not_of(" \t\r\n", old->size() - 2);
    if (first < old->size() - 1) {
      lead = old->substr(1, first - 1);
      tail = old->substr(last + 1, old->size() - last - 2);
      if (lead.find('\n') != std::string::npos) separator = "," + lead;
    }
  }
  std::string text = "[" + lead;
  for (std::size_t i = 0; i < items.size(); ++i) text += (i ? separator : "") + json_quote(items[i]);
  return text + tail + "]";
}

}  // namespace

EngineConfig read_engine_config_below(const std::string& root,
                                      const std::optional<std::string>& config_path) {
  std::vector<DockerdCommand> commands = find_dockerd_commands(root);
  std::stable_partition(commands.begin(), commands.end(), [](const DockerdCommand& c) { return c.running; });
  EngineConfig config;
  config.config_path = config_path ? *config_path : choose_config_path(root, commands);
  if (auto text = read_small_file(root + config.config_path)) {
    config.config_exists = true;
    config.config_text = std::move(*text);
  }
  with_context("cannot read `" + config.config_path + "`", [&] { read_settings(config); });
  add_flags(config, root, commands);
  return config;
}

EngineConfig read_engine_config(const std::optional<std::string>& config_path) {
  return read_engine_config_below("", config_path);
}

bool storage_opt_fits(const std::string& driver, const std::string& option) {
  if (std::find(std::begin(kWithoutOptions), std::end(kWithoutOptions), driver) != std::end(kWithoutOptions))
    return false;
  std::string key = option_key(option);
  bool known_driver = false;
  for (const OptionRow& row : kOptions) {
    if (driver != row.driver) continue;
    known_driver = true;
    std::string_view known = row.key;
    if (known.ends_with('.') ? key.starts_with(known) : key == known) return true;
  }
  return !known_driver;
}

void require_storage_opts(const std::string& driver, const std::vector<std::string>& options) {
  for (const std::string& option : options) {
    std::size_t equals = option.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == option.size())
      throw Error(ExitCode::usage, "`" + option + "` is no storage-opt",
                  "write KEY=VALUE, as in overlay2.size=10G");
    if (!storage_opt_fits(driver, option))
      throw Error(ExitCode::usage, driver + " has no storage-opt `" + option.substr(0, equals) + "`",
                  "the engine would not start with it");
  }
}

std::string config_with_driver(const std::string& text, const std::string& driver,
                               const std::vector<std::string>& options, std::vector<std::string>* removed) {
  const std::vector<std::string> old = strings_at(parse_object(text), "storage-opts");
  std::vector<std::string> kept;
  for (const std::string& option : old) {
    auto same_key = [&](const std::string& o) { return option_key(o) == option_key(option); };
    if (!storage_opt_fits(driver, option)) {
      if (removed) removed->push_back(option);
    } else if (std::none_of(options.begin(), options.end(), same_key)) {
      kept.push_back(option);
    }
  }
  kept.insert(kept.end(), options.begin(), options.end());
  std::string out = is_blank(text) ? "{}\n" : text;
  out = json_set(out, "storage-driver", json_quote(driver));
  if (kept == old) return out;
  if (kept.empty()) return json_remove(out, "storage-opts");
  return json_set(out, "storage-opts", list_text(kept, json_value_text(out, "storage-opts")));
}

std::vector<std::string> storage_opts_in_force(const EngineConfig& config) {
  std::vector<std::string> options = config.storage_opts;
  for (const EngineConfig::Flag& flag : config.flags)
    if (flag.name == "storage-opt") options.push_back(flag.value);
  return options;
}

std::vector<std::string> storage_opts_of(const std::string& text) {
  return strings_at(parse_object(text), "storage-opts");
}

std::vector<EngineConfig::Flag> conflicting_flags(const EngineConfig& config) {
  std::vector<EngineConfig::Flag> found;
  for (const EngineConfig::Flag& flag : config.flags)
    if (!flag.until_restart && (flag.name == "storage-driver" || flag.name == "storage-opt"))
      found.push_back(flag);
  return found;
}

std::vector<EngineConfig::Flag> flags_in_the_way(const EngineConfig& config, const std::string& driver,
                                                 const std::string& new_text) {
  std::vector<EngineConfig::Flag> found;
  bool has_options = json_value_text(new_text, "storage-opts").has_value();
  for (const EngineConfig::Flag& flag : conflicting_flags(config)) {
    bool from_environment = flag.where.starts_with("environment ");
    bool harmless = flag.name == "storage-opt" ? !has_options && storage_opt_fits(driver, flag.value)
                                               : from_environment && flag.value == driver;
    if (!harmless) found.push_back(flag);
  }
  return found;
}

namespace {

/// "--storage-driver vfs (unit docker.service (...))"
std::string flag_text(const EngineConfig::Flag& flag) {
  constexpr std::string_view variable = "environment DOCKER_DRIVER of ";
  if (flag.where.starts_with(variable))
    return "DOCKER_DRIVER=" + flag.value + " in the environment of " + flag.where.substr(variable.size()) +
           ", which wins over the file";
  return "--" + flag.name + " " + flag.value + " on the command line of " + flag.where +
         ", and the engine does not start with both";
}

}  // namespace

void refuse_flags_in_the_way(const EngineConfig& config, const std::string& driver,
                             const std::string& new_text) {
  auto flags = flags_in_the_way(config, driver, new_text);
  if (flags.empty()) return;
  std::string named;
  for (const EngineConfig::Flag& flag : flags) named += (named.empty() ? "" : "; ") + flag_text(flag);
  throw Error("cannot choose the driver in `" + config.config_path + "`: there is " + named,
              "take it out there first (after a change to a unit: systemctl daemon-reload)");
}

}  // namespace drover
