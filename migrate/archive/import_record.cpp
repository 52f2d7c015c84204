#include "migrate/archive/import_record.hpp"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"

namespace drover {

namespace {

using Json = nlohmann::ordered_json;
using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr int kVersion = 2;
constexpr const char* kName = "import.json";
constexpr std::size_t kLimit = 256 << 20;

[[noreturn]] void damaged() {
  throw Error("an import's import.json is damaged or gone",
              "restore it; it says what was done to the data root");
}

const Json& at(const Json& json, const char* key) {
  auto found = json.find(key);
  if (found == json.end()) damaged();
  return *found;
}

std::string text_of(const Json& json) {
  if (!json.is_string()) damaged();
  return json.get<std::string>();
}

std::vector<std::string> texts_of(const Json& json) {
  if (!json.is_array()) damaged();
  std::vector<std::string> texts;
  for (const Json& item : json) texts.push_back(text_of(item));
  return texts;
}

/// A relative path without anything that leads up.
std::string path_of(const Json& json) {
  std::string path = text_of(json);
  if (path.empty() || path.starts_with('/') || ("/" + path + "/").find("/../") != std::string::npos)
    damaged();
  return path;
}

Pairs pairs_of(const Json& json) {
  if (!json.is_array()) damaged();
  Pairs pairs;
  for (const Json& item : json) {
    if (!item.is_array() || item.size() != 2) damaged();
    pairs.emplace_back(path_of(item[0]), path_of(item[1]));
  }
  return pairs;
}

std::vector<LayerId> ids_of(const Json& json) {
  std::vector<LayerId> ids = texts_of(json);
  for (const LayerId& id : ids)
    if (!is_layer_id(id)) damaged();
  return ids;
}

std::map<std::string, Digest> tags_of(const Json& json) {
  if (!json.is_object()) damaged();
  std::map<std::string, Digest> tags;
  for (const auto& [tag, id] : json.items())
    if (!is_digest(tags[tag] = text_of(id))) damaged();
  return tags;
}

std::size_t number_of(const Json& json) {
  if (!json.is_number_unsigned()) damaged();
  return json.get<std::size_t>();
}

ImportSummary summary_of(const Json& json) {
  if (!json.is_object()) damaged();
  ImportSummary summary;
  summary.images = number_of(at(json, "images"));
  summary.tags = number_of(at(json, "tags"));
  summary.containers = number_of(at(json, "containers"));
  summary.new_layers = number_of(at(json, "new_layers"));
  summary.shared_layers = number_of(at(json, "shared_layers"));
  summary.deletes = texts_of(at(json, "deletes"));
  summary.notes = texts_of(at(json, "notes"));
  return summary;
}

}  // namespace

Json import_summary_json(const ImportSummary& summary) {
  return {{"images", summary.images},
          {"tags", summary.tags},
          {"containers", summary.containers},
          {"new_layers", summary.new_layers},
          {"shared_layers", summary.shared_layers},
          {"deletes", summary.deletes},
          {"notes", summary.notes}};
}

void write_import_record(const Dir& folder, const ImportRecord& record) {
  Json json{{"version", kVersion},
            {"layers", record.layers},
            {"shared", record.shared},
            {"shared_images", record.shared_images},
            {"made_home", record.made_home},
            {"made_repositories", record.made_repositories},
            {"moves", record.moves},
            {"put_aside", record.put_aside},
            {"replaced_layers", record.replaced_layers},
            {"tags", record.tags},
            {"old_tags", record.old_tags},
            {"made_dirs", record.made_dirs},
            {"unreadable_before", record.unreadable_before},
            {"summary", import_summary_json(record.summary)}};
  std::string text = json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (text.size() > kLimit)
    throw Error("the archive has more images, layers and records than can be imported at once",
                "nothing was changed; import it in parts: drover export NAME...");
  folder.write_atomic(kName, text, 0600, ::geteuid(), ::getegid());
  try {
    require_import_record(folder);  // nothing could go on with one that cannot be read
  } catch (const Error&) {
    folder.unlink(kName);
    throw Error("the archive has more tags, layers or records than can be imported at once",
                "nothing was changed; import it in parts: drover export NAME...");
  }
}

ImportRecord require_import_record(const Dir& folder) {
  auto text = folder.try_read(kName, kLimit);
  if (!text) damaged();
  Json json = with_context("an import's import.json", [&] { return parse_ordered_json(*text); });
  if (!json.is_object() || json.value("version", Json()) != kVersion) damaged();
  ImportRecord record;
  record.layers = ids_of(at(json, "layers"));
  if (!at(json, "shared").is_object()) damaged();
  for (const auto& [chain, id] : at(json, "shared").items()) {
    if (!is_digest(chain) || !is_layer_id(text_of(id))) damaged();
    record.shared.emplace(chain, text_of(id));
  }
  for (const std::string& id : texts_of(at(json, "shared_images"))) {
    if (!is_digest(id)) damaged();
    record.shared_images.insert(id);
  }
  record.made_home = at(json, "made_home") == true;
  record.made_repositories = at(json, "made_repositories") == true;
  record.moves = pairs_of(at(json, "moves"));
  record.put_aside = pairs_of(at(json, "put_aside"));
  record.replaced_layers = ids_of(at(json, "replaced_layers"));
  record.tags = tags_of(at(json, "tags"));
  record.old_tags = tags_of(at(json, "old_tags"));
  if (!at(json, "made_dirs").is_array()) damaged();
  for (const Json& item : at(json, "made_dirs")) record.made_dirs.push_back(path_of(item));
  if (json.contains("unreadable_before"))  // an import that began with an older drover has none
    for (std::string& name : texts_of(at(json, "unreadable_before")))
      record.unreadable_before.insert(std::move(name));
  record.summary = summary_of(at(json, "summary"));
  return record;
}

}  // namespace drover
