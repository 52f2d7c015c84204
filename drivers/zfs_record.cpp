#include "drivers/zfs_record.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/zfs_command.hpp"

namespace drover {

namespace {

constexpr std::string_view kWorkPrefix = "drover-";
constexpr std::size_t kWorkDigits = 8;

using Json = nlohmann::ordered_json;

bool is_work_name(std::string_view text) {
  return text.starts_with(kWorkPrefix) && text.size() == kWorkPrefix.size() + kWorkDigits &&
         text.find_first_not_of("0123456789abcdef", kWorkPrefix.size()) == std::string_view::npos;
}

std::optional<ZfsRecord> parse(const std::string& text) {
  auto parsed = try_parse_json(text);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  const nlohmann::json& json = *parsed;
  nlohmann::json parent = json.value("parent", nlohmann::json()), work = json.value("work", nlohmann::json()),
                 layers = json.value("layers", nlohmann::json());
  if (!parent.is_string() || !work.is_string() || !layers.is_object()) return std::nullopt;
  ZfsRecord record{parent.get<std::string>(), work.get<std::string>(), {}};
  if (!is_dataset_name(record.parent) || (!record.work.empty() && !is_work_name(record.work)))
    return std::nullopt;
  for (const auto& [id, guid] : layers.items()) {
    if (!is_layer_id(id) || !guid.is_string()) return std::nullopt;
    record.layers.emplace(id, guid.get<std::string>());
  }
  return record;
}

}  // namespace

std::optional<ZfsRecord> ZfsRecord::read(const HomeFolder& home) {
  auto dir = home.try_open();
  auto text = dir ? dir->try_read(kFile) : std::nullopt;
  if (!text) return std::nullopt;
  auto record = parse(*text);
  if (!record)
    throw Error("`" + dir->path_of(kFile) + "` is damaged",
                "it says which zfs filesystems belong to this folder; without it none of them is touched");
  return record;
}

void ZfsRecord::write(const Dir& home) const {
  Json json{{"parent", parent}, {"work", work}, {"layers", Json::object()}};
  for (const auto& [id, guid] : layers) json["layers"][id] = guid;
  home.write_atomic(kFile, json.dump(1) + "\n", 0600, ::geteuid(), ::getegid());
}

void ZfsRecord::remove(const Dir& home) {
  home.discard_unfinished(kFile);
  if (!home.exists(kFile)) return;
  home.unlink(kFile);
  home.sync();
}

std::string new_zfs_work_name() {
  std::uint32_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) throw_errno("cannot get random bytes");
  char name[32];
  std::snprintf(name, sizeof name, "%.*s%08x", static_cast<int>(kWorkPrefix.size()), kWorkPrefix.data(),
                number);
  return name;
}

}  // namespace drover
