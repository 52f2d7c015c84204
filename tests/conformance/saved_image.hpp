#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "drivers/sys/sha256.hpp"
#include "tests/conformance/broken_archive.hpp"

namespace drover::test {

inline std::string link_member(const std::string& path, const std::string& target) {
  TarMember link = named(path, TarMember::Type::hard_link);
  link.target = target;
  return tar_headers(link);
}

inline std::string symlink_member(const std::string& path, const std::string& target) {
  TarMember link = named(path, TarMember::Type::symlink);
  link.target = target;
  return tar_headers(link);
}

inline std::string directory_member(const std::string& path) {
  return tar_headers(named(path, TarMember::Type::directory));
}

inline std::string file_member(const std::string& path, const std::string& text) {
  return with_content(named(path), text);
}

/// What `docker save` makes of an image of these layers.
inline std::string saved_image(const std::vector<std::string>& tars) {
  std::string bytes;
  auto layers = nlohmann::json::array(), diff_ids = nlohmann::json::array();
  for (const std::string& tar : tars) {
    layers.push_back("layer-" + std::to_string(layers.size()) + ".tar");
    diff_ids.push_back("sha256:" + sha256_hex(tar));
    bytes += file_member(layers.back().get<std::string>(), tar);
  }
  std::string config = nlohmann::json{{"architecture", "amd64"},
                                      {"os", "linux"},
                                      {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}}
                           .dump();
  std::string name = sha256_hex(config) + ".json";
  nlohmann::json image{{"Config", name}, {"RepoTags", {"links:1"}}, {"Layers", layers}};
  return bytes + file_member(name, config) +
         file_member("manifest.json", nlohmann::json::array({image}).dump()) + tar_end();
}

}  // namespace drover::test
