#include "migrate/archive/import_unused.hpp"

#include <map>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/archive/import_folders.hpp"
#include "migrate/archive/import_place.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

constexpr const char *kOfLayers = "layerdb/sha256", *kOfMounts = "layerdb/mounts",
                     *kOfImages = "imagedb/content/sha256", *kOfTags = "repositories.json";

/// By their names, with what is wrong with them.
using Unreadable = std::map<std::string, std::string>;

Unreadable find_unreadable(const Dir& root, DriverKind driver) {
  Unreadable found;
  auto add = [&](const std::string& folder, const store::Reasons& damaged) {
    for (const auto& [name, why] : damaged) found.emplace(folder + "/" + name, why.why);
  };
  add(kContainers, store::read_containers(root).damaged);
  auto image = store::records_dir(root, kImage);
  auto records = image ? store::records_dir(*image, driver_name(driver)) : std::nullopt;
  if (!records) return found;
  store::LayerDb layers = store::read_layerdb(*records);
  add(kOfLayers, layers.damaged_layers);
  add(kOfMounts, layers.damaged_mounts);
  store::ImageDb images = store::read_imagedb(*records);
  add(kOfImages, images.damaged_images);
  if (images.bad_repositories) found.emplace(kOfTags, images.bad_repositories->why);
  return found;
}

/// What of an import is in its place.
class Placed {
 public:
  Placed(const Dir& root, const Dir& folder, const ImportRecord& record) {
    for (const auto& move : record.moves)
      if (was_moved(root, folder, move)) paths_.insert(move.second);
  }

  /// The names below one of the folders of records.
  std::set<std::string> names(const std::string& below) const {
    std::set<std::string> found;
    for (const std::string& path : paths_)
      if (auto [parent, name] = split_path(path); parent.ends_with(below)) found.insert(name);
    return found;
  }
  /// `name` as of unreadable_names().
  bool has(const std::string& name) const {
    for (const std::string& path : paths_)
      if (path == name || path.ends_with("/" + name)) return true;
    return false;
  }
  bool none() const { return paths_.empty(); }

 private:
  std::set<std::string> paths_;
};

std::string user_of(const Inventory& there, const Placed& placed) {
  auto layers = placed.names(kOfLayers), mounts = placed.names(kOfMounts), images = placed.names(kOfImages);
  for (const auto& [id, layer] : there.layers)
    if (layer.parent && layers.contains(*layer.parent) && !layers.contains(id))
      return "layer " + short_id(id);
  for (const auto& [name, mount] : there.mounts)
    if (mount.parent && layers.contains(*mount.parent) && !mounts.contains(name))
      return "container " + short_id(name);
  for (const auto& [id, image] : there.images)
    if (image.top && layers.contains(*image.top) && !images.contains(id))
      return "image " + display_name(image);
  return {};
}

/// A name of an image that is in its place: neither one that the import sets, nor one that was there before.
std::string named_since(const Dir& root, DriverKind driver, const ImportRecord& record,
                        const Placed& placed) {
  auto images = placed.names(kOfImages);
  auto records = root.try_walk(std::string(kImage) + "/" + std::string(driver_name(driver)));
  if (!records || images.empty()) return {};
  for (const auto& [tag, id] : tags_in(*records)) {
    auto is_it = [&, &tag = tag, &id = id](const std::map<std::string, Digest>& tags) {
      auto found = tags.find(tag);
      return found != tags.end() && found->second == id;
    };
    if (images.contains(id) && !is_it(record.tags) && !is_it(record.old_tags))
      return "the name `" + printable(tag) + "` of image " + short_id(id);
  }
  return {};
}

void refuse_taken_names(const Dir& folder, const Inventory& there, const Placed& placed) {
  std::set<std::string> back, own = placed.names(kContainers);
  if (auto kept = folder.try_sub("kept"))
    for (const auto& [id, container] : store::read_containers(*kept).containers)
      back.insert(container.record.name);
  for (const auto& [id, container] : there.containers)
    if (back.contains(container.name) && !own.contains(id))
      throw Error("container " + display_name(container) +
                      " has the name of one that was replaced and is to come back",
                  "remove or rename it with the engine, then `drover rollback`");
}

/// What a container stands on its mount says; its own record has its name, which may be that of one that is
/// to come back.
bool matters(const std::string& name, const Dir& folder) {
  return !name.starts_with(std::string(kContainers) + "/") || folder.exists("kept");
}

}  // namespace

std::set<std::string> unreadable_names(const Dir& root, DriverKind driver) {
  std::set<std::string> names;
  for (const auto& [name, why] : find_unreadable(root, driver)) names.insert(name);
  return names;
}

void require_unused(const Dir& root, const MigrationFolder& folder, const ImportRecord& record) {
  Placed placed(root, folder.dir(), record);
  Inventory there = read_inventory(root, folder.record().to, nullptr);
  refuse_taken_names(folder.dir(), there, placed);
  bool going_back = folder.state() == MigrationState::rolling_back;
  std::string user = user_of(there, placed);
  if (user.empty()) user = named_since(root, folder.record().to, record, placed);
  if (!user.empty())
    throw Error(
        user + " stands on what was imported, and was made since",
        going_back
            ? "remove it with the engine, then `drover rollback`"
            : "`drover import --resume` finishes the import; then remove what is not wanted with the engine");
  if (placed.none()) return;  // nothing can stand on it
  for (const auto& [name, why] : find_unreadable(root, folder.record().to))
    if (!record.unreadable_before.contains(name) && !placed.has(name) && matters(name, folder.dir()))
      throw Error("`" + printable(name) + "` may stand on what was imported, and cannot be read: " + why,
                  std::string("see to it that it can be read, or remove it with the engine, then ") +
                      (going_back ? "`drover rollback`" : "`drover rollback` or `drover import --resume`"));
}

}  // namespace drover
