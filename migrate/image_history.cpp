#include "migrate/image_history.hpp"

#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

std::string text_of(const nlohmann::json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

HistoryLine line_of(const nlohmann::json& item) {
  if (!item.is_object()) return {};
  auto empty = item.find("empty_layer");
  return {text_of(item, "created"), text_of(item, "created_by"), text_of(item, "comment"),
          empty != item.end() && empty->is_boolean() && empty->get<bool>()};
}

}  // namespace

std::vector<HistoryLine> parse_history(const std::string& config) {
  nlohmann::json root = store::parse_json(config);
  std::vector<HistoryLine> lines;
  if (!root.is_object()) return lines;
  auto history = root.find("history");
  if (history == root.end() || !history->is_array()) return lines;
  for (const nlohmann::json& item : *history) lines.push_back(line_of(item));
  return lines;
}

std::vector<HistoryLine> read_history(const Dir& data_root, DriverKind driver, const Digest& image) {
  std::optional<Dir> dir = store::records_dir(data_root, "image");
  for (std::string_view part : {driver_name(driver), std::string_view("imagedb"), std::string_view("content"),
                                std::string_view("sha256")})
    if (dir) dir = store::records_dir(*dir, part);
  if (!dir || !is_digest(image)) return {};
  store::RecordFile file = store::read_record_file(*dir, image, store::kJsonLimit);
  try {
    return file.text ? parse_history(*file.text) : std::vector<HistoryLine>();
  } catch (const Error& e) {
    if (!is_damage(e)) throw;
    return {};
  }
}

MatchedHistory match_history(const std::vector<HistoryLine>& history, std::size_t layers) {
  MatchedHistory matched;
  matched.lines.resize(layers);
  std::size_t made = 0;
  for (const HistoryLine& line : history) {
    if (line.empty_layer) continue;
    if (made < layers) matched.lines[made] = line;
    ++made;
  }
  auto many = [](std::size_t count, const std::string& what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
  };
  if (history.empty() && layers != 0)
    matched.remark = "the image has no history";
  else if (made != layers)
    matched.remark = "the image's history tells of " + many(made, "layer") + ", and it has " +
                     std::to_string(layers) + ": matched from the base up";
  return matched;
}

}  // namespace drover
