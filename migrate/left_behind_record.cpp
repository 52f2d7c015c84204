#include "migrate/left_behind_record.hpp"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "migrate/left_behind.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

using LeftJson = nlohmann::json;

constexpr std::size_t kLeftBehindLimit = 64 << 20;
constexpr int kLeftBehindVersion = 1;
constexpr std::size_t kLongestText = 4096;  // of a name or a reason

constexpr Part::Kind kKinds[] = {Part::Kind::layer, Part::Kind::image, Part::Kind::container,
                                 Part::Kind::build_cache};

/// Throws Error for whatever is not as it was written.
[[noreturn]] void nonsense() { throw Error("makes no sense"); }

std::string short_text(const LeftJson& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_string()) nonsense();
  std::string text = found->get<std::string>();
  if (text.size() > kLongestText) nonsense();
  return text;
}

Part part_of(const LeftJson& object) {
  std::string kind = short_text(object, "kind");
  for (Part::Kind one : kKinds)
    if (kind == kind_name(one)) {
      Part part{one, short_text(object, "id")};
      if (one == Part::Kind::build_cache ? !part.id.empty() : !is_digest(part.id)) nonsense();
      return part;
    }
  nonsense();
}

LeftPart left_part_of(const LeftJson& object) {
  LeftPart left{short_text(object, "name"), short_text(object, "why"), {}};
  auto files = object.find("files");
  if (files == object.end() || !files->is_array()) nonsense();
  for (const LeftJson& file : *files) {
    if (!file.is_string() || !is_layer_id(file.get_ref<const std::string&>())) nonsense();
    left.files.push_back(file.get<std::string>());
  }
  return left;
}

}  // namespace

std::string left_behind_text(const LeftBehind& left) {
  LeftJson parts = LeftJson::array();
  for (const auto& [part, what] : left)
    parts.push_back({{"kind", kind_name(part.kind)},
                     {"id", part.id},
                     {"name", what.name.substr(0, kLongestText / 4)},
                     {"why", what.why.substr(0, kLongestText / 4)},  // U+FFFD takes three bytes
                     {"files", what.files}});
  return LeftJson{{"version", kLeftBehindVersion}, {"parts", std::move(parts)}}.dump(
             1, ' ', false, LeftJson::error_handler_t::replace) +
         "\n";
}

std::optional<LeftBehind> parse_left_behind(const std::string& text) {
  try {
    LeftJson json = store::parse_json(text);
    if (!json.is_object() || json.value("version", LeftJson()) != kLeftBehindVersion) return std::nullopt;
    auto parts = json.find("parts");
    if (parts == json.end() || !parts->is_array()) return std::nullopt;
    LeftBehind left;
    for (const LeftJson& object : *parts)
      if (!object.is_object() || !left.emplace(part_of(object), left_part_of(object)).second)
        return std::nullopt;
    return left;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void write_left_behind(const Dir& folder, const LeftBehind& left) {
  std::string text = left_behind_text(left);
  if (text.size() > kLeftBehindLimit || !parse_left_behind(text))
    throw Error("more is damaged than can be written down: " + std::to_string(left.size()) + " parts",
                "nothing was changed; `drover rollback` removes the copy");
  folder.write_atomic(kLeftBehindFile, text, 0600, ::geteuid(), ::getegid());
}

std::optional<LeftBehind> read_left_behind(const Dir& folder) {
  try {
    auto text = folder.try_read(kLeftBehindFile, kLeftBehindLimit);
    return text ? parse_left_behind(*text) : std::nullopt;
  } catch (const Error& e) {
    if (!is_damage(e)) throw;
    return std::nullopt;
  }
}

LeftBehind require_left_behind(const Dir& folder) {
  if (auto left = read_left_behind(folder)) return std::move(*left);
  throw Error("`" + folder.path_of(kLeftBehindFile) + "` is missing or damaged",
              "it says what the migration has left behind, and the way back leaves that alone; restore it");
}

}  // namespace drover
