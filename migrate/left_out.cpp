#include "migrate/left_out.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "drivers/attributes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

// Sorted keys, as the engine writes them; any number of tags.
using TagsJson = nlohmann::json;

const std::string kLayers = "layerdb/sha256/", kMounts = "layerdb/mounts/",
                  kContent = "imagedb/content/sha256/", kMetadata = "imagedb/metadata/sha256/",
                  kByDiffId = "distribution/v2metadata-by-diffid/sha256/",
                  kByDigest = "distribution/diffid-by-digest/sha256/";

/// Of images that stay: where their record names one that does not as what they were made of. The engine
/// shows that as their parent, and looks for it when one of them is removed.
void add_parents(const Dir& records, const Inventory& inventory, std::set<std::string>& paths) {
  auto metadata = records.try_walk(kMetadata);
  for (auto image = inventory.images.begin(); metadata && image != inventory.images.end(); ++image) {
    auto own = metadata->try_sub(image->first);
    if (!own) continue;
    store::RecordFile file = store::read_word(*own, "parent");
    auto parent = file.text ? store::parse_digest(*file.text) : std::nullopt;
    if (parent && inventory.left.contains({Part::Kind::image, *parent}))
      paths.insert(kMetadata + image->first + "/parent");
  }
}

/// The diff IDs of layers that are left behind, as far as their records can be read, and of no other layer.
std::set<Digest> left_diff_ids(const Dir& records, const Inventory& inventory) {
  std::set<Digest> found;
  for (const auto& [part, what] : inventory.left) {
    if (part.kind != Part::Kind::layer) continue;
    try {
      store::RecordFile file = store::read_word(records.walk(kLayers + part.id), "diff");
      if (auto diff_id = file.text ? store::parse_digest(*file.text) : std::nullopt) found.insert(*diff_id);
    } catch (const Error& e) {
      if (!is_damage(e)) throw;  // no record, or none that can be read: nothing tells
    }
  }
  for (const auto& [chain, layer] : inventory.layers) found.erase(layer.diff_id);
  return found;
}

/// Names in a folder of the records; none where it is not there, or behind a symlink: that is copied as it
/// is, and what is behind it is neither read nor left out.
std::vector<std::string> names_below(const Dir& records, const std::string& folder) {
  std::vector<std::string> names;
  if (auto dir = records.try_walk(folder))
    for (const DirEntry& entry : dir->list()) names.push_back(entry.name);
  return names;
}

/// The paths of what the registry is known to have of these layers.
void add_registry_paths(const Dir& records, const std::set<Digest>& diff_ids, std::set<std::string>& paths) {
  for (const Digest& diff_id : diff_ids) paths.insert(kByDiffId + diff_id);
  if (diff_ids.empty()) return;
  for (const std::string& name : names_below(records, kByDigest)) {
    store::RecordFile file = store::read_word(records.walk(kByDigest), name);
    auto diff_id = file.text ? store::parse_digest(*file.text) : std::nullopt;
    if (diff_id && diff_ids.contains(*diff_id)) paths.insert(kByDigest + name);
  }
}

[[noreturn]] void not_the_same(const std::string& path) {
  throw Error(ExitCode::proof_failed, "the copy of Docker's records is not what it was: `" + path + "`",
              "the source is untouched; `drover rollback` removes the copy");
}

bool is_left_image(const TagsJson& value, const LeftBehind& left) {
  auto id = value.is_string() ? store::parse_digest(value.get_ref<const std::string&>()) : std::nullopt;
  return id && left.contains({Part::Kind::image, *id});
}

std::string context_of(const Dir& records) { return "`" + records.path_of(kRepositories) + "`"; }

bool has_left_image(const LeftBehind& left) {
  return std::any_of(left.begin(), left.end(),
                     [](const auto& one) { return one.first.kind == Part::Kind::image; });
}

}  // namespace

std::set<std::string> left_out_of_image(const Dir& records, const Inventory& inventory) {
  std::set<std::string> paths;
  for (const auto& [part, what] : inventory.left) switch (part.kind) {
      case Part::Kind::layer:
        paths.insert(kLayers + part.id);
        break;
      case Part::Kind::image:
        paths.insert({kContent + part.id, kMetadata + part.id});
        break;
      case Part::Kind::container:
        paths.insert(kMounts + part.id);
        break;
      case Part::Kind::build_cache:
        for (const std::string& name : names_below(records, kMounts))
          if (!is_digest(name)) paths.insert(kMounts + name);
        break;
    }
  if (has_left_image(inventory.left)) add_parents(records, inventory, paths);
  add_registry_paths(records, left_diff_ids(records, inventory), paths);
  return paths;
}

std::set<std::string> left_out_of_containers(const LeftBehind& left) {
  std::set<std::string> names;
  for (const auto& [part, what] : left)
    if (part.kind == Part::Kind::container) names.insert(part.id);
  return names;
}

void require_left_out(const Dir& copy, const std::set<std::string>& paths) {
  for (const std::string& path : paths) {
    std::size_t cut = path.rfind('/');
    auto folder = cut == std::string::npos ? copy.clone() : copy.try_walk(path.substr(0, cut));
    if (folder && folder->exists(path.substr(cut + 1))) not_the_same(copy.path_of(path));
  }
}

// Bytes that are no UTF-8, in a repository's name say, become the sign of what cannot be read, as they do for
// an engine (Go's encoding/json): it has the same names afterwards.
std::string repositories_without(const std::string& text, const LeftBehind& left) {
  TagsJson root = store::parse_json(text);
  TagsJson& repositories = root.at("Repositories");
  TagsJson kept = TagsJson::object();
  for (const auto& [name, references] : repositories.items()) {
    TagsJson stay = TagsJson::object();
    if (references.is_object())
      for (const auto& [reference, id] : references.items())
        if (!is_left_image(id, left)) stay[reference] = id;
    if (!stay.empty()) kept[name] = std::move(stay);
  }
  repositories = std::move(kept);
  return root.dump();
}

bool has_left_tags(const Dir& records, const LeftBehind& left) {
  if (!has_left_image(left)) return false;
  auto text = records.try_read(kRepositories, store::kJsonLimit);
  if (!text) return false;
  TagsJson root = with_context(context_of(records), [&] { return store::parse_json(*text); });
  auto repositories = root.find("Repositories");
  if (repositories == root.end() || !repositories->is_object()) return false;
  for (const auto& [name, references] : repositories->items())
    if (references.is_object())
      for (const auto& [reference, id] : references.items())
        if (is_left_image(id, left)) return true;
  return false;
}

void drop_left_tags(const Dir& records, const Dir& copy, const LeftBehind& left) {
  if (!has_left_tags(records, left)) return;
  struct stat file = records.stat(kRepositories), folder = records.stat();
  std::vector<Xattr> xattrs = records.xattrs(kRepositories), folder_xattrs = records.xattrs("");
  std::string text = repositories_without(records.read(kRepositories, store::kJsonLimit), left);
  copy.unlink(kRepositories);
  copy.write_new(kRepositories, text, 0600);
  set_attributes(copy, kRepositories, file, xattrs, true);
  set_attributes(copy, "", folder, folder_xattrs, false);
}

void require_left_tags_dropped(const Dir& records, const Dir& copy, const LeftBehind& left) {
  struct stat before = records.stat(kRepositories), after = copy.stat(kRepositories);
  after.st_size = before.st_size;
  if (copy.read(kRepositories, store::kJsonLimit) !=
          repositories_without(records.read(kRepositories, store::kJsonLimit), left) ||
      !same_attributes(before, after) || records.xattrs(kRepositories) != copy.xattrs(kRepositories))
    not_the_same(copy.path_of(kRepositories));
}

}  // namespace drover
