#include "migrate/migration_record.hpp"

#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

// Of what the folder holds and where.
constexpr int kVersion = 2, kMoveVersion = 3, kImportVersion = 4, kKeepGoingVersion = 5, kRenamesVersion = 6;

using Json = nlohmann::ordered_json;

Json settings_json(const HomeSettings& settings) {
  return {{"uid", settings.owner.uid},
          {"gid", settings.owner.gid},
          {"storage_opts", settings.storage_opts},
          {"offline", settings.offline}};
}

std::vector<std::string> strings_in(const Json& json, const char* key) {
  std::vector<std::string> strings;
  auto found = json.find(key);
  if (found != json.end() && found->is_array())
    for (const Json& item : *found)
      if (item.is_string()) strings.push_back(item.get<std::string>());
  return strings;
}

HomeSettings parse_settings(const Json& json, const char* key) {
  auto found = json.find(key);
  if (found == json.end() || !found->is_object()) throw Error("is damaged");
  HomeSettings settings;
  auto id = [&](const char* which) -> uid_t {
    auto number = found->find(which);
    if (number == found->end() || !number->is_number_unsigned() || *number > UINT32_MAX)
      throw Error("is damaged");
    return number->get<uid_t>();
  };
  settings.owner = {id("uid"), id("gid")};
  settings.storage_opts = strings_in(*found, "storage_opts");
  settings.offline = found->value("offline", Json(false)) == Json(true);
  return settings;
}

}  // namespace

std::string record_text(const MigrationRecord& record, bool is_pointer) {
  Json json{{"version", record.import                       ? kImportVersion
                        : record.renames || record.no_proof ? kRenamesVersion
                        : record.keep_going                 ? kKeepGoingVersion
                        : record.move                       ? kMoveVersion
                                                            : kVersion},
            {"from", driver_name(record.from)},
            {"to", driver_name(record.to)},
            {"config", record.config_path},
            {"storage_opts", record.storage_opts},
            {"from_home", settings_json(record.from_home)},
            {"to_home", settings_json(record.to_home)},
            {"force", record.force}};
  if (record.move) json["move"] = root_move_json(*record.move);
  if (record.renames || record.no_proof) {
    json["keep_going"] = record.keep_going;
    json["renames"] = record.renames;
    json["no_proof"] = record.no_proof;
  }
  if (is_pointer) json["pointer"] = true;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

MigrationRecord parse_record(const std::string& text, bool& is_pointer) {
  Json json = parse_ordered_json(text);
  auto string_at = [&](const char* key) -> std::string {
    auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : "";
  };
  Json version = json.is_object() ? json.value("version", Json()) : Json();
  if (version != kVersion && version != kMoveVersion && version != kImportVersion &&
      version != kKeepGoingVersion && version != kRenamesVersion)
    throw Error("is of another version of drover");
  const DriverEntry *from = find_driver(string_at("from")), *to = find_driver(string_at("to"));
  MigrationRecord record;
  record.config_path = string_at("config");
  if (!from || !to || !record.config_path.starts_with('/')) throw Error("is damaged");
  record.from = from->kind;
  record.to = to->kind;
  record.storage_opts = strings_in(json, "storage_opts");
  record.from_home = parse_settings(json, "from_home");
  record.to_home = parse_settings(json, "to_home");
  record.force = json.value("force", Json()) == true;
  record.keep_going = version == kKeepGoingVersion;
  if (version == kRenamesVersion) {
    record.keep_going = json.value("keep_going", Json()) == true;
    record.renames = json.value("renames", Json()) == true;
    record.no_proof = json.value("no_proof", Json()) == true;
    // A drover that took it for a copy would delete the only one there is.
    if (!record.renames && !record.no_proof) throw Error("is damaged");
  }
  bool may_move = version == kKeepGoingVersion || version == kRenamesVersion;
  if (version == kMoveVersion || (may_move && json.contains("move")))
    record.move = parse_root_move(json.value("move", Json()));
  record.import = version == kImportVersion;
  is_pointer = record.move && json.value("pointer", Json()) == true;
  return record;
}

std::string describe(const MigrationRecord& record) {
  std::string from(driver_name(record.from)), to(driver_name(record.to));
  std::string drivers = "from " + from + " to " + to + (record.renames ? " by renames" : "");
  if (!record.move) return drivers;
  return "of `" + printable(record.move->from_root) + "` to `" + printable(record.move->to_root) + "`" +
         (from == to ? "" : ", " + drivers);
}

}  // namespace drover
