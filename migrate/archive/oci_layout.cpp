#include "migrate/archive/oci_layout.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "drivers/sys/sha256.hpp"

namespace drover {

namespace {

using Json = nlohmann::ordered_json;

// github.com/opencontainers/image-spec: manifest.md, image-index.md, annotations.md
constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar";

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json descriptor(const char* type, const Digest& digest, std::uint64_t size) {
  return {{"mediaType", type}, {"digest", "sha256:" + digest}, {"size", size}};
}

bool is_tag(const std::string& reference) { return reference.find('@') == std::string::npos; }

/// "docker.io/library/app:1" of "app:1", for readers that know no default registry.
std::string full_name(const std::string& reference) {
  std::size_t slash = reference.find('/');
  if (slash == std::string::npos) return "docker.io/library/" + reference;
  std::string host = reference.substr(0, slash);
  bool is_host = host == "localhost" || host.find_first_of(".:") != std::string::npos;
  return is_host ? reference : "docker.io/" + reference;
}

}  // namespace

std::string blob_name(const Digest& digest) { return "blobs/sha256/" + digest; }

std::vector<std::pair<std::string, std::string>> layout_files(const std::vector<LayoutImage>& images) {
  std::vector<std::pair<std::string, std::string>> files{{"oci-layout", R"({"imageLayoutVersion":"1.0.0"})"}};
  Json index{{"schemaVersion", 2},
             {"mediaType", "application/vnd.oci.image.index.v1+json"},
             {"manifests", Json::array()}};
  Json list = Json::array();
  std::set<Digest> written;
  std::vector<std::pair<std::string, std::string>> manifests;
  for (const LayoutImage& image : images) {
    Json manifest{{"schemaVersion", 2},
                  {"mediaType", kManifestType},
                  {"config", descriptor(kConfigType, image.id, image.config_bytes)},
                  {"layers", Json::array()}};
    Json paths = Json::array(), tags = Json::array();
    for (const auto& [diff_id, size] : image.layers) {
      manifest["layers"].push_back(descriptor(kLayerType, diff_id, size));
      paths.push_back(blob_name(diff_id));
    }
    std::string text = dumped(manifest);
    Digest digest = sha256_hex(text);
    Json described = descriptor(kManifestType, digest, text.size());
    for (const std::string& reference : image.references) {
      if (!is_tag(reference)) continue;
      tags.push_back(reference);
      Json named = described;
      named["annotations"] = {{"io.containerd.image.name", full_name(reference)},
                              {"org.opencontainers.image.ref.name", reference}};
      index["manifests"].push_back(std::move(named));
    }
    if (tags.empty()) index["manifests"].push_back(described);
    list.push_back(
        {{"Config", blob_name(image.id)}, {"RepoTags", tags.empty() ? Json() : tags}, {"Layers", paths}});
    if (written.insert(digest).second) manifests.emplace_back(blob_name(digest), std::move(text));
  }
  files.emplace_back("index.json", dumped(index));
  files.emplace_back("manifest.json", dumped(list));
  files.insert(files.end(), manifests.begin(), manifests.end());
  return files;
}

}  // namespace drover
