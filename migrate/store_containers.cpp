#include <algorithm>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/symlink.hpp"
#include "migrate/store_parts.hpp"

namespace drover::store {

namespace {

using nlohmann::json;

std::string text_at(const json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_string()) throw Error(std::string("has a `") + key + "` that is no text");
  return found->get<std::string>();
}

bool flag_at(const json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

json object_of(const RecordFile& file) {
  if (!file.text) throw Error(file.wrong, file.fix);
  json object = parse_json(*file.text);
  if (!object.is_object()) throw Error("is no JSON object");
  return object;
}

void require_one_spelling_of(const std::string& key) {
  auto lower = [](std::string text) {
    for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return text;
  };
  bool plain = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127; });
  for (const char* known : {"ID", "Name", "Driver", "Image", "State", "Config", "MountPoints", "HostnamePath",
                            "HostsPath", "ResolvConfPath", "LogPath", "ShmPath", "NetworkSettings"})
    if (!plain || (key != known && lower(key) == lower(known)))
      throw Error("has the key `" + printable(key.substr(0, 80)) + "`, which no engine writes");
}

/// The keys are those of moby container/container.go and container/state.go.
ContainerDb::Entry parse_config(const json& config, const std::string& id) {
  ContainerDb::Entry entry;
  ContainerRecord& record = entry.record;
  record.id = id;
  require_one_spelling(config);
  if (text_at(config, "ID") != id) throw Error("is of another container");
  record.name = text_at(config, "Name");
  if (record.name.starts_with('/')) record.name.erase(0, 1);
  record.driver = text_at(config, "Driver");
  // The engine takes a container that names no driver for one of the first driver there was.
  if (record.driver.empty()) record.driver = "aufs";
  record.image = parse_digest(text_at(config, "Image"));
  auto state = config.find("State");
  if (state == config.end() || !state->is_object()) return entry;
  record.running = flag_at(*state, "Running") || flag_at(*state, "Paused") || flag_at(*state, "Restarting");
  if (auto pid = state->find("Pid"); pid != state->end() && pid->is_number_integer())
    record.pid = pid->get<std::int64_t>();
  entry.dying = flag_at(*state, "Dead") || flag_at(*state, "RemovalInProgress");
  return entry;
}

std::optional<std::string> size_limit(const json& host_config) {
  auto options = host_config.find("StorageOpt");
  if (options == host_config.end() || !options->is_object()) return std::nullopt;
  std::string size = text_at(*options, "size");
  return size.empty() ? std::nullopt : std::optional(size);
}

/// Puts "its `file` " in front of what is wrong with it.
template <class Read>
auto in_file(const std::string& file, Read read) {
  try {
    return read();
  } catch (const SystemError&) {
    throw;
  } catch (const Error& e) {
    throw Error("its " + file + " " + e.what(), e.hint());
  }
}

ContainerDb::Entry read_container(const Dir& dir, const std::string& id) {
  auto entry = in_file("config.v2.json", [&] {
    return parse_config(object_of(read_record_file(dir, "config.v2.json", kJsonLimit)), id);
  });
  RecordFile host_config = read_record_file(dir, "hostconfig.json", kJsonLimit);
  entry.lacks_host_config = host_config.absent;
  if (!host_config.absent)
    entry.record.size_limit = in_file("hostconfig.json", [&] { return size_limit(object_of(host_config)); });
  return entry;
}

}  // namespace

void require_one_spelling(const json& config) {
  if (!config.is_object()) return;
  for (const auto& [key, value] : config.items()) require_one_spelling_of(key);
}

ContainerDb read_containers(const Dir& data_root) {
  ContainerDb db;
  auto containers = records_dir(data_root, "containers");
  if (!containers) return db;
  for (const DirEntry& entry : containers->list()) {
    if (!is_digest(entry.name)) continue;
    try {
      auto dir = containers->try_sub(entry.name);
      if (auto link = dir ? std::nullopt : find_symlink(*containers, entry.name))
        db.damaged.emplace(entry.name, Reason{"`" + link->path + "` is a symlink", link->fix()});
      if (!dir) continue;
      db.containers.emplace(entry.name, read_container(*dir, entry.name));
    } catch (const Error& e) {
      if (!is_damage(e)) throw;
      db.damaged.emplace(entry.name, Reason{e.what(), e.hint()});
    }
  }
  return db;
}

}  // namespace drover::store
