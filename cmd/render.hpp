#pragma once
#include <cstdint>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace drover {

/// "12,345"
std::string human_count(std::uint64_t count);

/// "a, b, c"
std::string joined(const std::vector<std::string>& items);

/// Lines in the manner of `docker info`: "Key: value", one blank of indentation a level. Foreign text comes
/// out harmless for a terminal.
class InfoLines {
 public:
  explicit InfoLines(std::ostream& out) : out_(out) {}
  void line(int level, const std::string& key, const std::string& value);
  void heading(int level, const std::string& text);

 private:
  std::ostream& out_;
};

/// Columns under headings, as wide as they need to be. Cells come out harmless for a terminal.
class Table {
 public:
  explicit Table(std::vector<std::string> headings) { rows_.push_back(std::move(headings)); }
  /// A row may have fewer cells than there are headings.
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.size() == 1; }
  void print(std::ostream& out, int indent = 0) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// Prints JSON, indented, in ASCII: other characters as \u escapes, bytes that are no UTF-8 as U+FFFD.
void print_json(std::ostream& out, const nlohmann::ordered_json& value);

}  // namespace drover
