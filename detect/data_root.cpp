#include "detect/data_root.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "detect/small_file.hpp"

namespace drover {

namespace {

std::optional<unsigned> parse_id(std::string_view text) {
  unsigned id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

/// The lines of a file like /etc/passwd, each split at its colons.
std::vector<std::vector<std::string>> colon_table(const std::string& path) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(read_small_file(path).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    auto& row = rows.emplace_back();
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, ':');) row.push_back(field);
  }
  return rows;
}

/// The first ID of the range that `map` (/etc/subuid) gives to a user, who is named by name or number.
std::optional<unsigned> first_mapped(const std::string& map, const std::string& names,
                                     const std::string& who) {
  std::vector<std::string> same = {who};
  for (const auto& row : colon_table(names)) {
    if (row.size() < 3) continue;
    if (row[0] == who) same.push_back(row[2]);
    if (row[2] == who) same.push_back(row[0]);
  }
  for (const auto& row : colon_table(map))
    if (row.size() == 3 && std::find(same.begin(), same.end(), row[0]) != same.end()) return parse_id(row[1]);
  return std::nullopt;
}

/// Who is root in the containers of an engine with this "userns-remap": "default", USER or USER:GROUP.
std::optional<RootOwner> mapped_root(const std::string& remap) {
  std::string user = remap.substr(0, remap.find(':'));
  if (user == "default") user = "dockremap";
  std::string group = remap.find(':') == std::string::npos ? user : remap.substr(remap.find(':') + 1);
  auto uid = first_mapped("/etc/subuid", "/etc/passwd", user);
  auto gid = first_mapped("/etc/subgid", "/etc/group", group);
  if (!uid || !gid) return std::nullopt;
  return RootOwner{*uid, *gid};
}

/// The mapped root of a folder called `<uid>.<gid>`.
std::optional<RootOwner> owner_of_name(const std::string& name) {
  std::size_t dot = name.find('.');
  if (dot == std::string::npos) return std::nullopt;
  auto uid = parse_id(name.substr(0, dot)), gid = parse_id(name.substr(dot + 1));
  if (!uid || !gid) return std::nullopt;
  return RootOwner{*uid, *gid};
}

std::string default_data_root() {
  if (::geteuid() != 0) {
    const char *data = std::getenv("XDG_DATA_HOME"), *home = std::getenv("HOME");
    std::string own = data && *data ? data : home && *home ? std::string(home) + "/.local/share" : "";
    std::error_code ignored;
    if (!own.empty() && std::filesystem::is_directory(own + "/docker", ignored)) return own + "/docker";
  }
  return "/var/lib/docker";
}

void look_at_disk(DataRoot& root) {
  std::error_code error;
  root.exists = std::filesystem::is_directory(root.path, error);
  auto resolved = root.exists ? std::filesystem::canonical(root.path, error)
                              : std::filesystem::absolute(root.path, error).lexically_normal();
  if (!error && !resolved.empty()) root.path = resolved.string();
  while (root.path.size() > 1 && root.path.back() == '/') root.path.pop_back();
}

DataRoot configured_root(const EngineConfig& config) {
  for (const auto& flag : config.flags)
    if (flag.name == "data-root") return {flag.value, flag.where, false, {}};
  if (config.data_root) return {*config.data_root, config.config_path, false, {}};
  return {default_data_root(), "default", false, {}};
}

std::optional<std::string> configured_remap(const EngineConfig& config) {
  for (const auto& flag : config.flags)
    if (flag.name == "userns-remap" && !flag.value.empty()) return flag.value;
  return config.userns_remap;
}

}  // namespace

DataRoot find_data_root(const std::optional<std::string>& flag, const EngineConfig& config) {
  DataRoot root = flag ? DataRoot{*flag, "flag --data-root", false, {}} : configured_root(config);
  look_at_disk(root);
  if (auto owner = owner_of_name(std::filesystem::path(root.path).filename())) {
    root.owner = *owner;
    return root;
  }
  auto remap = configured_remap(config);
  auto owner = remap && !remap->empty() ? mapped_root(*remap) : std::nullopt;
  if (!owner) return root;
  DataRoot mapped = root;
  mapped.path += "/" + std::to_string(owner->uid) + "." + std::to_string(owner->gid);
  mapped.source += ", userns-remap " + *remap;
  mapped.owner = *owner;
  look_at_disk(mapped);
  // A root that --data-root names without such a folder is meant as it is.
  return flag && !mapped.exists ? root : mapped;
}

}  // namespace drover
