#include "migrate/archive/import_place.hpp"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/archive/import_folders.hpp"
#include "migrate/archive/incoming_store.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/preflight.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

// Sorted keys, as the engine writes them; any number of tags.
using TagsJson = nlohmann::json;

constexpr const char *kRepositories = "repositories.json", *kContentOfImages = "/imagedb/content/sha256";

/// A path's folder, and the name in it; the folder must be there.
struct Place {
  Dir in;
  std::string name;
  Place(const Dir& root, const std::string& path) : in(root.clone()) {
    auto [parent, base] = split_path(path);
    if (!parent.empty()) in = root.walk(parent);
    name = base;
  }
  bool exists() const { return in.exists(name); }
};

/// Whether what is at this path says itself what it is: then it does not matter whose it is.
bool is_content_addressed(const std::string& path) {
  return path.find("/layerdb/sha256/") != std::string::npos || path.find("/imagedb/") != std::string::npos ||
         path.find("/distribution/") != std::string::npos;
}

/// Done already, where what is to move is not there any more and something is in its place.
void move_once(const Dir& from_root, const std::string& from, const Dir& to_root, const std::string& to) {
  if (!is_there(from_root, from)) {
    if (is_there(to_root, to)) return;
    throw Error(
        "neither `" + from_root.path_of("") + from + "` nor `" + to_root.path_of("") + to + "` is there",
        "`drover rollback` gives the import up");
  }
  Place source(from_root, from), target(to_root, to);
  if (target.exists()) {
    // An engine that ran in between has the same layer or image by now; that it can be used was seen to
    // before anything was moved.
    if (is_content_addressed(to)) return;
    throw Error(
        "`" + target.in.path_of(target.name) + "` is there already, and an import was to put it there",
        "did an engine run in between? `drover rollback` gives the import up");
  }
  source.in.rename(source.name, target.in, target.name);
}

std::string driver_of(const MigrationFolder& folder) { return std::string(driver_name(folder.record().to)); }

/// Sets (or, given none, removes) tags and leaves everything else in the file as it is.
void set_tags(const Dir& records, const std::map<std::string, std::optional<Digest>>& tags) {
  records.discard_unfinished(kRepositories);
  auto text = records.try_read(kRepositories);
  bool sets_any =
      std::any_of(tags.begin(), tags.end(), [](const auto& tag) { return tag.second.has_value(); });
  if (!text && !sets_any) return;
  TagsJson json{{"Repositories", TagsJson::object()}};
  if (text)
    json = with_context("`" + records.path_of(kRepositories) + "`", [&] { return store::parse_json(*text); });
  if (!json.is_object()) throw Error("`" + records.path_of(kRepositories) + "` is damaged");
  TagsJson& repositories = json["Repositories"];
  if (repositories.is_null()) repositories = TagsJson::object();
  TagsJson before = repositories;
  for (const auto& [reference, id] : tags) {
    std::string name = repository_of(reference);
    if (id) {
      repositories[name][reference] = "sha256:" + *id;
    } else if (auto repository = repositories.find(name); repository != repositories.end()) {
      repository->erase(reference);
      if (repository->empty()) repositories.erase(name);
    }
  }
  if (repositories == before && text) return;
  records.write_atomic(kRepositories, json.dump(-1, ' ', false, TagsJson::error_handler_t::replace), 0600,
                       ::geteuid(), ::getegid());
}

/// Whether what is in the place of a record can stand in for the one that is to come there.
bool is_sound(const std::string& path, const Inventory& there) {
  auto [parent, name] = split_path(path);
  if (parent.ends_with("/layerdb/sha256")) return there.layers.contains(name);
  if (parent.ends_with(kContentOfImages)) return there.images.contains(name);
  return true;  // what an engine does without
}

/// Images that were to be placed and are there by another's hand.
std::set<Digest> images_made_since(const Dir& root, const Dir& folder, const ImportRecord& record) {
  std::set<Digest> images;
  for (const auto& [from, to] : record.moves)
    if (auto [parent, name] = split_path(to);
        parent.ends_with(kContentOfImages) && is_there(folder, from) && is_there(root, to))
      images.insert(name);
  return images;
}

}  // namespace

std::map<std::string, Digest> tags_in(const Dir& records) {
  std::map<std::string, Digest> tags;
  for (const auto& [id, references] : store::read_imagedb(records).references)
    for (const std::string& reference : references) tags[reference] = id;
  return tags;
}

bool was_moved(const Dir& root, const Dir& folder, const std::pair<std::string, std::string>& move) {
  return !is_there(folder, move.first) && is_there(root, move.second);
}

LiveHome::LiveHome(const DataRoot& root, const MigrationRecord& record)
    : driver_(driver_entry(record.to).open(root.path + "/" + std::string(driver_name(record.to)),
                                           record.to_home)) {}

void LiveHome::open_for_layers(const Inventory& there, const ImportRecord& record) {
  if (!record.made_home && !driver_->layers_outside()) return;
  if (driver_->layers_outside()) {
    // The layers that are there are to be found beside the new ones, which get names of their own for now;
    // and those that a run which was cut had made.
    std::vector<LayerId> own = record.layers;
    for (const auto& [id, layer] : there.layers) own.push_back(layer.cache_id);
    for (const auto& [name, mount] : there.mounts) {
      own.push_back(mount.mount_id);
      if (mount.init_id) own.push_back(*mount.init_id);
    }
    driver_->claim(own);
  }
  driver_->make_home();
}

void LiveHome::finish_layers() {
  driver_->settle();
  driver_->release();
  driver_->close();
}

void LiveHome::take_back(const ImportRecord& record) {
  driver_->claim(record.layers);
  for (auto id = record.layers.rbegin(); id != record.layers.rend(); ++id)
    driver_->remove(*id);  // what was only begun, too
  // An engine that ran in between may have filled the home that was made.
  if (record.made_home && driver_->layers().empty()) return driver_->remove_home();
  finish_layers();
}

void require_names_free(const Dir& root, const MigrationFolder& folder, const ImportRecord& record,
                        const Dir& incoming) {
  std::set<std::string> leaving;
  for (const auto& [from, to] : record.put_aside) leaving.insert(split_path(from).second);
  const auto there = store::read_containers(root).containers;
  std::map<std::string, std::string> names;
  for (const std::string& id : leaving)
    if (auto container = there.find(id); container != there.end() && still_runs(container->second.record))
      throw Error(ExitCode::in_use,
                  "container " + display_name(container->second.record) + ", which is to be replaced, runs",
                  "stop it and the engine");
  for (const auto& [id, container] : there)
    if (container.record.driver == driver_of(folder) && !leaving.contains(id))
      names.emplace(container.record.name, id);
  for (const auto& [id, container] : store::read_containers(incoming).containers)
    if (names.contains(container.record.name) || (there.contains(id) && !leaving.contains(id)))
      throw Error("there is a container " + display_name(container.record) +
                      " by now, and one of its name or ID is to be imported",
                  "remove or rename it with the engine, then `drover import --resume`; or `drover rollback`");
}

void require_places_sound(const Dir& root, const MigrationFolder& folder, const ImportRecord& record,
                          const Driver& home) {
  std::vector<std::string> taken;
  for (const auto& [from, to] : record.moves)
    if (is_content_addressed(to) && is_there(folder.dir(), from) && is_there(root, to)) taken.push_back(to);
  if (taken.empty()) return;
  // By its ID it is the same; whether its bytes are those of the ID, and its files there, the inventory says.
  Inventory there = read_inventory(root, folder.record().to, &home);
  for (const std::string& path : taken)
    if (!is_sound(path, there))
      throw Error(
          "`" + root.path_of("") + path +
              "` is there already and cannot be used, and an import was to put it there",
          "did an engine run in between? Move it elsewhere, then `drover import --resume`; or `drover "
          "rollback` gives the import up");
}

void place_import(const Dir& root, const MigrationFolder& folder, ImportRecord& record) {
  for (const auto& [from, to] : record.put_aside) {
    auto [parent, name] = split_path(to);
    folder.dir().make_path(parent, 0700);
    // Once it is aside, what has its name is the imported one.
    if (!is_there(folder.dir(), to) && is_there(root, from)) move_once(root, from, folder.dir(), to);
  }
  for (const auto& [from, to] : record.moves) move_once(folder.dir(), from, root, to);
  Dir records = root.sub(kImage).sub(driver_of(folder));
  std::map<std::string, Digest> now = tags_in(records);
  std::map<std::string, std::optional<Digest>> tags;
  for (const auto& [tag, id] : record.tags) {
    auto there = now.find(tag);
    auto old = record.old_tags.find(tag);
    if (there == now.end() || there->second == id ||
        (old != record.old_tags.end() && old->second == there->second))
      tags[tag] = id;
    else
      record.summary.notes.push_back("`" + printable(tag) + "` was set to " + short_id(there->second) +
                                     " since, and stays that");
  }
  root.sync_fs();  // no tag is to outlive a power cut that its image does not
  set_tags(records, tags);
  root.sync_fs();
}

void remove_replaced(LiveHome& home, const ImportRecord& record) {
  for (const LayerId& id : record.replaced_layers) home.driver().remove(id);
}

void take_back_import(const Dir& root, const MigrationFolder& folder, const ImportRecord& record) {
  auto image = root.try_sub(kImage);
  auto records = image ? image->try_sub(driver_of(folder)) : std::nullopt;
  if (records) {
    records->discard_unfinished(kRepositories);
    std::map<std::string, Digest> now = tags_in(*records);
    std::map<std::string, std::optional<Digest>> back;
    std::set<Digest> made_since = images_made_since(root, folder.dir(), record);
    for (const auto& [tag, id] : record.tags) {
      // One that was set to something else since is the user's, and so is one that came with its image.
      if (auto found = now.find(tag); found == now.end() || found->second != id) continue;
      if (made_since.contains(id)) continue;
      auto old = record.old_tags.find(tag);
      back[tag] = old == record.old_tags.end() ? std::nullopt : std::optional(old->second);
    }
    if (!back.empty()) set_tags(*records, back);
    if (record.made_repositories && tags_in(*records).empty() && records->exists(kRepositories))
      records->unlink(kRepositories);
  }
  for (auto move = record.moves.rbegin(); move != record.moves.rend(); ++move)
    if (was_moved(root, folder.dir(), *move)) move_once(root, move->second, folder.dir(), move->first);
  for (auto move = record.put_aside.rbegin(); move != record.put_aside.rend(); ++move)
    if (is_there(folder.dir(), move->second)) move_once(folder.dir(), move->second, root, move->first);
  root.sync_fs();
}

}  // namespace drover
