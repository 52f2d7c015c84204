#include "drivers/devicemapper_records.hpp"

#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLimit = 64 << 10;
constexpr const char* kDeviceSet = "deviceset-metadata";
constexpr const char* kTransaction = "transaction-metadata";

[[noreturn]] void damaged(const Dir& metadata, const std::string& name, const std::string& why) {
  throw Error("`" + printable(metadata.path_of(name)) + "` is damaged: " + why);
}

/// The file as an object; nothing if there is none.
std::optional<Json> read_object(const Dir& metadata, const std::string& name) {
  auto text = metadata.try_read(name, kLimit);
  if (!text) return std::nullopt;
  try {
    Json json = parse_ordered_json(*text);
    if (json.is_object()) return json;
  } catch (const Error& e) {
    damaged(metadata, name, std::string("it ") + e.what());
  }
  damaged(metadata, name, "it is no JSON object");
}

std::uint64_t number_in(const Json& json, const char* key, std::uint64_t largest, const Dir& metadata,
                        const std::string& name) {
  auto found = json.find(key);
  if (found == json.end() || !found->is_number_unsigned() || found->get<std::uint64_t>() > largest)
    damaged(metadata, name, std::string("it has no sound `") + key + "`");
  return found->get<std::uint64_t>();
}

bool flag_in(const Json& json, const char* key) {
  auto found = json.find(key);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

std::string text_in(const Json& json, const char* key) {
  auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

/// As Go's encoder writes it, and no line end.
void write_object(const Dir& metadata, const std::string& name, const Json& json) {
  metadata.write_atomic(name, json.dump(-1, ' ', false, Json::error_handler_t::replace), 0600);
}

}  // namespace

std::optional<DeviceRecord> read_device_record(const Dir& metadata, const std::string& name) {
  auto json = read_object(metadata, name);
  if (!json) return std::nullopt;
  auto number = [&](const char* key, std::uint64_t largest) {
    return number_in(*json, key, largest, metadata, name);
  };
  DeviceRecord record;
  record.device_id = static_cast<std::uint32_t>(number("device_id", kLargestThinDevice));
  record.size_bytes = number("size", INT64_MAX);
  if (record.size_bytes == 0 || record.size_bytes % 512 != 0)
    damaged(metadata, name, "it has an impossible size");
  // Records of very old engines have no transaction.
  if (json->contains("transaction_id")) record.transaction_id = number("transaction_id", UINT64_MAX);
  record.initialized = flag_in(*json, "initialized");
  record.deleted = flag_in(*json, "deleted");
  return record;
}

void write_device_record(const Dir& metadata, const std::string& name, const DeviceRecord& record) {
  write_object(metadata, name,
               {{"device_id", record.device_id},
                {"size", record.size_bytes},
                {"transaction_id", record.transaction_id},
                {"initialized", record.initialized},
                {"deleted", record.deleted}});
}

std::vector<LayerId> recorded_layers(const Dir& metadata) {
  std::vector<LayerId> layers;
  for (const DirEntry& entry : metadata.list()) {
    if (!is_layer_id(entry.name)) continue;
    // One that cannot be read is reported when the layer is asked for.
    auto text = metadata.try_read(entry.name, kLimit);
    auto json = text ? try_parse_json(*text) : std::nullopt;
    if (!json || !json->is_object() || !flag_in(Json(*json), "deleted")) layers.push_back(entry.name);
  }
  return layers;
}

DeviceSetRecord read_device_set(const Dir& metadata) {
  DeviceSetRecord record;
  auto json = read_object(metadata, kDeviceSet);
  if (!json) return record;
  record.last_device_id = static_cast<std::uint32_t>(
      number_in(*json, "next_device_id", kLargestThinDevice, metadata, kDeviceSet));
  record.base_uuid = text_in(*json, "BaseDeviceUUID");
  record.base_filesystem = text_in(*json, "BaseDeviceFilesystem");
  return record;
}

void write_device_set(const Dir& metadata, const DeviceSetRecord& record) {
  write_object(metadata, kDeviceSet,
               {{"next_device_id", record.last_device_id},
                {"BaseDeviceUUID", record.base_uuid},
                {"BaseDeviceFilesystem", record.base_filesystem}});
}

std::optional<TransactionRecord> read_transaction(const Dir& metadata) {
  auto json = read_object(metadata, kTransaction);
  if (!json) return std::nullopt;
  auto number = [&](const char* key, std::uint64_t largest) {
    return number_in(*json, key, largest, metadata, kTransaction);
  };
  TransactionRecord record;
  record.open_id = number("open_transaction_id", UINT64_MAX);
  record.device_id = static_cast<std::uint32_t>(number("device_id", kLargestThinDevice));
  record.layer = text_in(*json, "device_hash");
  if (!record.layer.empty() && !is_layer_id(record.layer))
    damaged(metadata, kTransaction, "it names no layer");
  return record;
}

void write_transaction(const Dir& metadata, const TransactionRecord& record) {
  write_object(metadata, kTransaction,
               {{"open_transaction_id", record.open_id},
                {"device_hash", record.layer},
                {"device_id", record.device_id}});
}

}  // namespace drover
