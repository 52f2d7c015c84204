#include "cmd/render.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

/// How many columns a UTF-8 text takes, all characters taken for one column wide.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string human_count(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

void InfoLines::line(int level, const std::string& key, const std::string& value) {
  out_ << std::string(static_cast<std::size_t>(level), ' ') << printable(key) << ": " << printable(value)
       << '\n';
}

void InfoLines::heading(int level, const std::string& text) {
  out_ << std::string(static_cast<std::size_t>(level), ' ') << printable(text) << ":\n";
}

void Table::print(std::ostream& out, int indent) const {
  std::vector<std::size_t> widths;
  auto rows = rows_;
  for (auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = printable(row[i]);
      widths.resize(std::max(widths.size(), i + 1));
      widths[i] = std::max(widths[i], width(row[i]));
    }
  for (const auto& row : rows) {
    std::string line(static_cast<std::size_t>(indent), ' ');
    for (std::size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(i + 1 < row.size() ? widths[i] - width(row[i]) + 3 : 0, ' ');
    out << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
  }
}

void print_json(std::ostream& out, const nlohmann::ordered_json& value) {
  out << value.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

}  // namespace drover
