#include "migrate/root_move.hpp"

#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "migrate/nested_paths.hpp"

namespace drover {

namespace {

using Json = nlohmann::ordered_json;

/// An absolute path of which each part is a name: what is removed by it must not be anything else.
bool is_plain_path(const std::string& path) {
  if (path.size() < 2 || path.front() != '/' || path.back() == '/') return false;
  for (std::size_t at = 0; at < path.size();) {
    std::size_t end = std::min(path.find('/', at + 1), path.size());
    std::string part = path.substr(at + 1, end - at - 1);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string::npos) return false;
    at = end;
  }
  return true;
}

std::string path_at(const Json& json, const char* key) {
  auto found = json.find(key);
  if (found == json.end() || !found->is_string() || !is_plain_path(found->get<std::string>()))
    throw Error("is damaged");
  return found->get<std::string>();
}

unsigned number_at(const Json& json, const char* key) {
  auto found = json.find(key);
  if (found == json.end() || !found->is_number_unsigned() || *found > UINT32_MAX) throw Error("is damaged");
  return found->get<unsigned>();
}

}  // namespace

std::optional<Dir> open_old_root(const RootMove& move) {
  auto root = Dir::try_open(move.from_root);
  if (root && (is_within(move.from_root, move.to_root) || is_within(move.to_root, move.from_root)))
    throw Error("`" + move.from_root + "`, the old root, leads to the new root `" + move.to_root +
                    "` by now, and what is removed of the old one would be the new data",
                "take that symlink or mount away, also where the old root is gone for good; then try again");
  return root;
}

Json root_move_json(const RootMove& move) {
  return {{"from_root", move.from_root},
          {"to_root", move.to_root},
          {"config_root", move.config_root},
          {"made", move.made},
          {"mode", move.mode},
          {"uid", move.uid},
          {"gid", move.gid}};
}

RootMove parse_root_move(const Json& json) {
  if (!json.is_object()) throw Error("is damaged");
  RootMove move;
  move.from_root = path_at(json, "from_root");
  move.to_root = path_at(json, "to_root");
  move.config_root = path_at(json, "config_root");
  auto made = json.find("made");
  if (made == json.end() || !made->is_array()) throw Error("is damaged");
  for (const Json& one : *made) {
    bool plain = one.is_string() && is_plain_path(one.get<std::string>());
    // Only the new root and folders above it are made.
    if (!plain || !(move.to_root + "/").starts_with(one.get<std::string>() + "/")) throw Error("is damaged");
    move.made.push_back(one.get<std::string>());
  }
  move.mode = number_at(json, "mode");
  move.uid = number_at(json, "uid");
  move.gid = number_at(json, "gid");
  return move;
}

}  // namespace drover
