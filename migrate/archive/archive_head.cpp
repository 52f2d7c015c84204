#include "migrate/archive/archive_head.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

using Json = nlohmann::ordered_json;
using Value = nlohmann::json;

constexpr const char* kFormat = "drover archive";
constexpr int kVersion = 1;

[[noreturn]] void damaged(const std::string& why) {
  throw Error("its drover/archive.json is damaged: " + why);
}

std::string string_at(const Value& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end()) return {};
  if (!found->is_string()) damaged(std::string("`") + key + "` is no text");
  return found->get<std::string>();
}

Digest digest_at(const Value& object, const char* key) {
  std::string text = string_at(object, key);
  if (!is_digest(text))
    damaged(std::string("`") + key + "` is no digest: `" + printable(text.substr(0, 80)) + "`");
  return text;
}

std::optional<Digest> digest_or_none(const Value& object, const char* key) {
  if (!object.contains(key)) return std::nullopt;
  return digest_at(object, key);
}

std::uint64_t number_at(const Value& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned())
    damaged(std::string("`") + key + "` is no number");
  return found->get<std::uint64_t>();
}

const Value& list_at(const Value& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_array()) damaged(std::string("it has no list `") + key + "`");
  for (const Value& item : *found)
    if (!item.is_object()) damaged(std::string("`") + key + "` holds what is no object");
  return *found;
}

/// As an engine takes them: letters, digits and a few signs, a tag or digest behind a name.
bool is_reference(const std::string& text) {
  constexpr std::string_view kSigns = "._-/:@";
  auto good = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kSigns.find(c) != std::string_view::npos;
  };
  std::size_t colon = text.rfind(':');
  return text.size() <= 512 && colon != std::string::npos && colon > 0 && colon + 1 < text.size() &&
         std::string_view("/:@.-").find(text[0]) == std::string_view::npos &&
         text.find("..") == std::string::npos && std::all_of(text.begin(), text.end(), good);
}

/// As an engine takes them (moby names.RestrictedNamePattern).
bool is_container_name(const std::string& text) {
  auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  return !text.empty() && std::string_view("_.-").find(text[0]) == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), word);
}

ArchivedImage parse_image(const Value& item) {
  ArchivedImage image;
  image.id = digest_at(item, "id");
  auto references = item.find("references");
  if (references == item.end() || !references->is_array()) damaged("an image has no list of references");
  for (const Value& reference : *references) {
    if (!reference.is_string() || !is_reference(reference.get<std::string>())) damaged("a reference is none");
    image.references.push_back(reference.get<std::string>());
  }
  image.parent = digest_or_none(item, "parent");
  image.last_updated = string_at(item, "last_updated");
  return image;
}

/// An engine that lists an image's history goes from parent to parent until there is none.
void refuse_cycles(const std::vector<ArchivedImage>& images) {
  std::map<Digest, Digest> parents;
  std::set<Digest> known;
  for (const ArchivedImage& image : images) known.insert(image.id);
  for (const ArchivedImage& image : images)
    if (image.parent && !known.contains(*image.parent))
      damaged("an image's parent is not in it");
    else if (image.parent)
      parents.emplace(image.id, *image.parent);
  std::set<Digest> ends;  // from which a last parent is reached
  for (const ArchivedImage& image : images) {
    std::set<Digest> way;
    for (auto at = parents.find(image.id); at != parents.end() && !ends.contains(at->first);
         at = parents.find(at->second))
      if (!way.insert(at->first).second) damaged("an image comes before itself among its parents");
    ends.insert(way.begin(), way.end());
  }
}

/// "v2metadata-by-diffid/sha256/<digest>", "diffid-by-digest/sha256/<digest>"
bool is_distribution_path(const std::string& path) {
  for (std::string_view folder : {"v2metadata-by-diffid/sha256/", "diffid-by-digest/sha256/"})
    if (path.starts_with(folder) && is_digest(std::string_view(path).substr(folder.size()))) return true;
  return false;
}

}  // namespace

std::string head_text(const ArchiveHead& head) {
  Json images = Json::array(), layers = Json::array(), containers = Json::array();
  for (const ArchivedImage& image : head.images) {
    Json item{{"id", image.id}, {"references", image.references}};
    if (image.parent) item["parent"] = *image.parent;
    if (!image.last_updated.empty()) item["last_updated"] = image.last_updated;
    images.push_back(std::move(item));
  }
  for (const ArchivedLayer& layer : head.layers) {
    Json item{{"chain_id", layer.chain_id}, {"diff_id", layer.diff_id}};
    if (layer.parent) item["parent"] = *layer.parent;
    item["size"] = layer.size_bytes;
    item["tar_size"] = layer.tar_bytes;
    layers.push_back(std::move(item));
  }
  for (const ArchivedContainer& container : head.containers) {
    Json item{{"id", container.id}, {"name", container.name}};
    if (container.parent) item["parent"] = *container.parent;
    item["init"] = container.has_init;
    containers.push_back(std::move(item));
  }
  Json all{{"format", kFormat}, {"version", kVersion},      {"images", images},
           {"layers", layers},  {"containers", containers}, {"distribution", head.distribution}};
  return all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

ArchiveHead parse_head(const std::string& text) {
  Value all = with_context("its drover/archive.json", [&] { return store::parse_json(text); });
  if (!all.is_object() || all.value("format", Value()) != kFormat) damaged("it is none");
  if (Value version = all.value("version", Value()); version != kVersion)
    throw Error("it is of version " +
                    printable(version.dump(-1, ' ', false, Value::error_handler_t::replace)) +
                    " of the format, and this drover knows version " + std::to_string(kVersion),
                "import it with a newer drover");
  ArchiveHead head;
  std::set<std::string> seen;
  for (const Value& item : list_at(all, "images")) {
    head.images.push_back(parse_image(item));
    if (!seen.insert(head.images.back().id).second) damaged("an image is there twice");
  }
  refuse_cycles(head.images);
  seen.clear();
  for (const Value& item : list_at(all, "layers")) {
    ArchivedLayer layer{digest_at(item, "chain_id"), digest_at(item, "diff_id"),
                        digest_or_none(item, "parent"), number_at(item, "size"), number_at(item, "tar_size")};
    if (layer.parent && !seen.contains(*layer.parent))
      damaged("a layer stands on one that does not come before it");
    if (chain_id_of(layer.parent, layer.diff_id) != layer.chain_id)
      damaged("a chain ID does not follow from its parent and diff ID");
    if (!seen.insert(layer.chain_id).second) damaged("a layer is there twice");
    head.layers.push_back(std::move(layer));
  }
  std::set<std::string> containers, names;
  for (const Value& item : list_at(all, "containers")) {
    ArchivedContainer container{digest_at(item, "id"), string_at(item, "name"),
                                digest_or_none(item, "parent"), item.value("init", Value()) == true};
    if (!is_container_name(container.name))
      damaged("a container's name is `" + printable(container.name) + "`");
    if (container.parent && !seen.contains(*container.parent))
      damaged("a container stands on no layer of it");
    if (!containers.insert(container.id).second || !names.insert(container.name).second)
      damaged("a container is there twice");
    head.containers.push_back(std::move(container));
  }
  auto distribution = all.find("distribution");
  if (distribution == all.end() || !distribution->is_object()) damaged("it has no records of distribution");
  for (const auto& [path, content] : distribution->items()) {
    if (!is_distribution_path(path) || !content.is_string())
      damaged("`" + printable(path) + "` is no such record");
    head.distribution.emplace(path, content.get<std::string>());
  }
  return head;
}

}  // namespace drover
