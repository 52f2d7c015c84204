#include <algorithm>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/store_parts.hpp"

namespace drover::store {

namespace {

using nlohmann::json;

const json& member(const json& object, const char* key) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

ImageRecord parse_image(const std::string& text, const Digest& id) {
  if (sha256_hex(text) != id) throw Error("does not match its ID");
  json config = parse_json(text);
  const json& rootfs = member(config, "rootfs");
  if (!rootfs.is_object()) throw Error("names no rootfs");
  ImageRecord image;
  image.id = id;
  const json& diff_ids = member(rootfs, "diff_ids");
  if (diff_ids.is_null()) return image;
  if (!diff_ids.is_array()) throw Error("has diff_ids that are no list");
  for (const json& item : diff_ids) {
    auto diff_id = item.is_string() ? parse_digest(item.get_ref<const std::string&>()) : std::nullopt;
    if (!diff_id) throw Error("has a diff ID that is no digest");
    image.diff_ids.push_back(*diff_id);
  }
  return image;
}

std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids) {
  std::vector<Digest> chain;
  for (const Digest& diff_id : diff_ids)
    chain.push_back(chain_id_of(chain.empty() ? std::nullopt : std::optional(chain.back()), diff_id));
  return chain;
}

void read_images(const Dir& content, ImageDb& db) {
  for (const DirEntry& entry : content.list()) {
    if (!is_digest(entry.name)) continue;  // the engine's own temporary files
    try {
      RecordFile file = read_record_file(content, entry.name, kJsonLimit);
      if (!file.text) throw Error(file.wrong, file.fix);
      ImageRecord image = parse_image(*file.text, entry.name);
      std::vector<Digest> chain = chain_ids(image.diff_ids);
      if (!chain.empty()) image.top = chain.back();
      db.chains.emplace(entry.name, std::move(chain));
      db.images.emplace(entry.name, std::move(image));
    } catch (const Error& e) {
      if (!is_damage(e)) throw;
      db.damaged_images.emplace(entry.name, Reason{std::string("its configuration ") + e.what(), e.hint()});
    }
  }
}

bool is_tag(const std::string& reference) { return reference.find('@') == std::string::npos; }

/// {"Repositories": {"<name>": {"<reference>": "sha256:<image ID>"}}} (moby reference/store.go)
void parse_repositories(const std::string& text, ImageDb& db) {
  json root = parse_json(text);
  if (!root.is_object()) throw Error("is no JSON object");
  const json& repositories = member(root, "Repositories");
  if (repositories.is_null()) return;
  if (!repositories.is_object()) throw Error("has no list of repositories");
  for (const auto& [name, references] : repositories.items()) {
    if (!references.is_object() && !references.is_null())
      throw Error("has no list of references for `" + printable(name) + "`");
    for (const auto& [reference, value] : references.items()) {
      auto id = value.is_string() ? parse_digest(value.get_ref<const std::string&>()) : std::nullopt;
      if (!id) throw Error("has no image ID for `" + printable(reference) + "`");
      db.references[*id].push_back(reference);
    }
  }
}

void read_repositories(const Dir& store, ImageDb& db) {
  try {
    RecordFile file = read_record_file(store, "repositories.json", kJsonLimit);
    if (file.absent) return;
    if (!file.text) throw Error(file.wrong, file.fix);
    parse_repositories(*file.text, db);
  } catch (const Error& e) {
    if (!is_damage(e)) throw;
    db.bad_repositories = Reason{std::string("repositories.json ") + e.what(), e.hint()};
  }
  for (auto& [id, references] : db.references) {
    std::sort(references.begin(), references.end());
    std::stable_partition(references.begin(), references.end(), is_tag);
  }
}

}  // namespace

ImageDb read_imagedb(const Dir& store) {
  ImageDb db;
  if (auto imagedb = records_dir(store, "imagedb"))
    if (auto content = records_dir(*imagedb, "content"))
      if (auto images = records_dir(*content, "sha256")) read_images(*images, db);
  read_repositories(store, db);
  for (auto& [id, image] : db.images)
    if (auto found = db.references.find(id); found != db.references.end()) image.references = found->second;
  return db;
}

}  // namespace drover::store
