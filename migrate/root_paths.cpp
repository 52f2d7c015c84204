#include "migrate/root_paths.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "detect/json_edit.hpp"
#include "detect/json_scan.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/nested_paths.hpp"
#include "migrate/store.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

using nlohmann::json;

/// The string that a key of an object has; nothing for anything else.
std::optional<std::string> string_of(const std::string& object, const char* key) {
  auto value = json_value_text(object, key);
  if (!value || !value->starts_with('"')) return std::nullopt;
  return json_unquote(*value);
}

std::string with_moved_path(const std::string& object, const char* key, const std::string& old_root,
                            const std::string& new_root) {
  auto path = string_of(object, key);
  if (!path || !path->starts_with(old_root + "/")) return object;
  return json_set(object, key, json_quote(new_root + path->substr(old_root.size())));
}

/// The engine tells a volume by its name or driver; engines before 17.06 wrote no type.
bool is_volume(const std::string& mount_point) {
  return !string_of(mount_point, "Name").value_or("").empty() ||
         !string_of(mount_point, "Driver").value_or("").empty();
}

/// Paths from a record that lead into a root, by whatever way.
class PathsInto {
 public:
  explicit PathsInto(const std::string& root) : root_(root) {}

  void take(const std::string& text) {
    if (text.starts_with('/') && is_within(text, root_)) found_.insert(text);
  }
  void take(const json& value) {
    if (value.is_string()) take(value.get<std::string>());
  }
  /// Mount options have several: "lowerdir=/a:/b,upperdir=/c".
  void take_all_in(const json& value) {
    if (value.is_structured())
      for (const auto& item : value) take_all_in(item);
    if (!value.is_string()) return;
    const auto text = value.get<std::string>();
    take(text);
    for (std::size_t from = 0; from < text.size();) {
      std::size_t to = std::min(text.find_first_of(",:=", from), text.size());
      take(text.substr(from, to - from));
      from = to + 1;
    }
  }
  const std::set<std::string>& found() const { return found_; }

 private:
  const std::string& root_;
  std::set<std::string> found_;
};

json read_json(const Dir& dir, const char* name) {
  store::RecordFile file = store::read_record_file(dir, name, store::kJsonLimit);
  if (!file.text) return nullptr;
  try {
    return store::parse_json(*file.text);
  } catch (const Error&) {
    return nullptr;  // the engine passes over it, too
  }
}

json value_at(const json& object, const char* key) {
  auto found = object.is_object() ? object.find(key) : object.end();
  return found == object.end() || !object.is_object() ? json() : *found;
}

std::string text_or(const json& value, const std::string& otherwise) {
  return value.is_string() ? printable(value.get<std::string>()) : otherwise;
}

/// Calls f(folder, its name) for each folder in `name` that can be opened: an engine passes over the others,
/// too.
template <class F>
void each_folder(const Dir& root, const char* name, F f) {
  auto above = root.try_sub(name);
  if (!above) return;
  for (const DirEntry& entry : above->list()) {
    std::optional<Dir> dir;
    try {
      dir = above->try_sub(entry.name);
    } catch (const Error& e) {
      if (!is_damage(e)) throw;
    }
    if (dir) f(*dir, entry.name);
  }
}

}  // namespace

std::string moved_container_config(const std::string& text, const std::string& old_root,
                                   const std::string& new_root) {
  std::string moved = text;
  for (const char* key : {"LogPath", "HostnamePath", "HostsPath", "ResolvConfPath", "ShmPath"})
    moved = with_moved_path(moved, key, old_root, new_root);
  auto points = json_value_text(moved, "MountPoints");
  if (!points || !points->starts_with('{')) return moved;
  std::string all = *points;
  for (const JsonMember& member : scan_json_object(*points).members) {
    std::string point(member.value.of(*points));
    if (!point.starts_with('{') || !is_volume(point)) continue;
    std::string changed = with_moved_path(point, "Source", old_root, new_root);
    if (changed != point) all = json_set(all, json_unquote(member.key.of(*points)), changed);
  }
  return all == *points ? moved : json_set(moved, "MountPoints", all);
}

std::string moved_plugin_config(const std::string& text, const std::string& old_root,
                                const std::string& new_root) {
  return with_moved_path(text, "Rootfs", old_root, new_root);
}

std::vector<UserPath> user_paths_into(const Dir& data_root, const std::string& root) {
  std::vector<UserPath> found;
  auto add = [&](const std::string& of, const PathsInto& paths) {
    for (const std::string& path : paths.found()) found.push_back({of, printable(path)});
  };
  each_folder(data_root, "containers", [&](const Dir& dir, const std::string& id) {
    json config = read_json(dir, "config.v2.json");
    PathsInto paths(root);
    for (const json& point : value_at(config, "MountPoints"))
      if (text_or(value_at(point, "Name"), "").empty() && text_or(value_at(point, "Driver"), "").empty())
        paths.take(value_at(point, "Source"));
    std::string name = text_or(value_at(config, "Name"), short_id(id));
    add("container " + (name.starts_with('/') ? name.substr(1) : name), paths);
  });
  each_folder(data_root, "volumes", [&](const Dir& dir, const std::string& name) {
    PathsInto paths(root);
    paths.take_all_in(read_json(dir, "opts.json"));
    add("volume " + printable(name), paths);
  });
  each_folder(data_root, "plugins", [&](const Dir& dir, const std::string& id) {
    json plugin = value_at(read_json(dir, "config.json"), "plugin");
    PathsInto paths(root);
    for (const json& mount : value_at(value_at(plugin, "Settings"), "Mounts"))
      paths.take(value_at(mount, "Source"));
    add("plugin " + text_or(value_at(plugin, "Name"), short_id(id)), paths);
  });
  return found;
}

}  // namespace drover
