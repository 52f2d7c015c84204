#include "migrate/archive/container_config.hpp"

#include <nlohmann/json.hpp>
#include <vector>

#include "detect/json_edit.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {
// The engine's own files in the container's folder (moby container/container.go).
constexpr const char* kPathKeys[] = {"HostnamePath", "HostsPath", "ResolvConfPath", "LogPath", "ShmPath"};
}  // namespace

std::string config_for_home(const std::string& text, const std::string& old_id, const ContainerHome& home) {
  std::string edited = config_for_driver(text, home.driver);
  nlohmann::json config = store::parse_json(text);
  for (const char* key : kPathKeys) {
    if (!config.contains(key) || !config[key].is_string()) continue;
    std::string path = config[key].get<std::string>(), folder = "/containers/" + old_id + "/";
    std::size_t at = path.rfind(folder);
    if (at == std::string::npos) continue;
    std::string file = path.substr(at + folder.size());
    // The log is called after the container.
    if (file.starts_with(old_id)) file = home.id + file.substr(old_id.size());
    edited = json_set(edited, key, json_quote(home.data_root + "/containers/" + home.id + "/" + file));
  }
  if (home.id != old_id) edited = json_set(edited, "ID", json_quote(home.id));
  if (!home.name.empty() && config.value("Name", nlohmann::json()) != "/" + home.name)
    edited = json_set(edited, "Name", json_quote("/" + home.name));
  return edited;
}

Attachments attachments_of(const std::string& text) {
  Attachments found;
  nlohmann::json config = store::parse_json(text);
  auto members = [](const nlohmann::json& object, const char* key) {
    auto value = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && value != object.end() && value->is_object() ? *value
                                                                             : nlohmann::json::object();
  };
  const nlohmann::json mounts = members(config, "MountPoints");
  for (const auto& [path, mount] : mounts.items())
    if (mount.is_object() && mount.value("Type", nlohmann::json()) == "volume" && mount.contains("Name") &&
        mount["Name"].is_string())
      found.volumes.push_back(mount["Name"].get<std::string>());
  const nlohmann::json networks = members(members(config, "NetworkSettings"), "Networks");
  for (const auto& [name, endpoint] : networks.items())
    if (name != "bridge" && name != "host" && name != "none" && name != "default")
      found.networks.push_back(name);
  return found;
}

}  // namespace drover
