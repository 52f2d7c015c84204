#include "detect/toml_edit.hpp"

#include <algorithm>

#include "detect/toml_parser.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

/// Each dot of a key is a table in a table, which toml++ takes apart by recursion.
constexpr long kMostDots = 1000;

void refuse_deep_keys(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (std::count(line.begin(), line.end(), '.') > kMostDots)
      throw Error("not TOML that drover reads: a line has more than " + std::to_string(kMostDots) + " dots");
    at = end + 1;
  }
}

toml::table parse(std::string_view text) {
  refuse_deep_keys(text);
  try {
    return toml::parse(text);
  } catch (const std::logic_error&) {  // of toml_parser.hpp
    throw Error("not TOML: a key is expected where there is none");
  } catch (const toml::parse_error& e) {
    throw Error("not TOML: " + std::string(e.description()) + " at line " +
                std::to_string(e.source().begin.line) + ", column " +
                std::to_string(e.source().begin.column));
  }
}

const toml::node* find(const toml::table& top, const TomlPath& path) {
  const toml::node* node = &top;
  for (const std::string& key : path) {
    const toml::table* table = node->as_table();
    node = table ? table->get(key) : nullptr;
    if (!node) return nullptr;
  }
  return node;
}

/// Where a position is in the text; toml++ counts columns in code points.
std::size_t offset(std::string_view text, const toml::source_position& position) {
  std::size_t at = 0;
  for (toml::source_index line = 1; line < position.line; ++line) at = text.find('\n', at) + 1;
  for (toml::source_index column = 1; column < position.column && at < text.size(); ++column) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  }
  return at;
}

std::size_t line_begin(std::string_view text, std::size_t at) {
  std::size_t end = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  return end == std::string_view::npos ? 0 : end + 1;
}

/// Behind the line's newline, or the end of the text.
std::size_t line_end(std::string_view text, std::size_t at) {
  std::size_t end = text.find('\n', at);
  return end == std::string_view::npos ? text.size() : end + 1;
}

std::string_view newline(std::string_view text) {
  return text.find("\r\n") == std::string_view::npos ? "\n" : "\r\n";
}

std::string indentation(std::string_view text, std::size_t at) {
  std::size_t begin = line_begin(text, at);
  return std::string(text.substr(begin, text.find_first_not_of(" \t", begin) - begin));
}

/// The text as a basic string, with the escapes that TOML asks for.
std::string quote(std::string_view value) {
  constexpr char hex[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (char c : value) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string quote_key(const std::string& key) {
  bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-';
  });
  return bare ? key : quote(key);
}

std::string header(const TomlPath& table) {
  std::string text;
  for (const std::string& key : table) text += (text.empty() ? "[" : ".") + quote_key(key);
  return text + "]";
}

/// The place behind the header line of a table; nothing if no line `[a.b]` of its own names it.
std::optional<std::size_t> header_end(std::string_view text, const toml::table& top, const TomlPath& path) {
  const toml::node* node = find(top, path);
  if (!node || !node->is_table()) return std::nullopt;
  std::size_t at = offset(text, node->source().begin);
  std::size_t end = line_end(text, at);
  std::string_view line = text.substr(line_begin(text, at), end - line_begin(text, at));
  if (line.find_first_not_of(" \t") == std::string_view::npos || line[line.find_first_not_of(" \t")] != '[')
    return std::nullopt;
  // A line that names a table further down makes this one too, but keys below it are not this one's.
  toml::table alone = parse(line);
  const toml::node* named = find(alone, path);
  if (!named || !named->is_table() || !named->as_table()->empty()) return std::nullopt;
  return end;
}

std::string insert_below_header(std::string_view text, const toml::table& top, const TomlPath& path,
                                const std::string& line, std::size_t end) {
  TomlPath table(path.begin(), path.end() - 1);
  const toml::node* node = find(top, table);
  std::string indent = indentation(text, offset(text, node->source().begin));
  for (const auto& [key, value] : *node->as_table())
    if (!value.is_table() && !value.is_array_of_tables())
      indent = indentation(text, offset(text, key.source().begin));
  std::string lead = text[end - 1] == '\n' ? "" : std::string(newline(text));
  return std::string(text.substr(0, end)) + lead + indent + line + std::string(newline(text)) +
         std::string(text.substr(end));
}

std::string append_table(std::string_view text, const TomlPath& path, const std::string& line) {
  std::string nl(newline(text));
  std::string out(text);
  if (!out.empty() && out.back() != '\n') out += nl;
  if (!out.empty()) out += nl;
  TomlPath table(path.begin(), path.end() - 1);
  if (table.empty()) return line + nl + (text.empty() ? "" : nl) + std::string(text);
  return out + header(table) + nl + line + nl;
}

[[noreturn]] void not_in_place(const TomlPath& path) {
  throw Error("cannot set " + header(path) + " without changing the lines around it", "set it by hand");
}

}  // namespace

std::optional<std::string> toml_string(std::string_view text, const TomlPath& path) {
  toml::table top = parse(text);
  const toml::node* node = find(top, path);
  return node ? node->value<std::string>() : std::nullopt;
}

std::optional<std::int64_t> toml_integer(std::string_view text, const TomlPath& path) {
  toml::table top = parse(text);
  const toml::node* node = find(top, path);
  // value() would convert a number with a fraction or exponent, one that is too large for a long, too.
  return node ? node->value_exact<std::int64_t>() : std::nullopt;
}

std::vector<std::string> toml_strings(std::string_view text, const TomlPath& path) {
  toml::table top = parse(text);
  const toml::node* node = find(top, path);
  std::vector<std::string> found;
  if (node && node->is_array())
    for (const toml::node& item : *node->as_array())
      if (auto value = item.value<std::string>()) found.push_back(*value);
  return found;
}

bool toml_contains(std::string_view text, const TomlPath& path) {
  toml::table top = parse(text);
  return find(top, path) != nullptr;
}

std::vector<std::string> toml_keys(std::string_view text, const TomlPath& path) {
  toml::table top = parse(text);
  const toml::node* node = find(top, path);
  std::vector<std::string> found;
  if (node && node->is_table())
    for (const auto& [key, value] : *node->as_table()) found.emplace_back(key.str());
  return found;
}

std::string toml_set_string(std::string_view text, const TomlPath& path, std::string_view value) {
  toml::table top = parse(text);
  std::string out;
  if (const toml::node* node = find(top, path)) {
    if (node->is_table() || node->is_array_of_tables()) not_in_place(path);
    std::size_t begin = offset(text, node->source().begin), end = offset(text, node->source().end);
    out = std::string(text.substr(0, begin)) + quote(value) + std::string(text.substr(end));
  } else {
    std::string line = quote_key(path.back()) + " = " + quote(value);
    TomlPath table(path.begin(), path.end() - 1);
    if (auto end = header_end(text, top, table))
      out = insert_below_header(text, top, path, line, *end);
    else
      out = append_table(text, path, line);
  }
  // The second reading is the proof: of a table that is inline or made by dotted keys there is no other
  // header.
  try {
    if (toml_string(out, path) == std::string(value)) return out;
  } catch (const Error&) {
  }
  not_in_place(path);
}

std::string toml_remove(std::string_view text, const TomlPath& path) {
  toml::table top = parse(text);
  const toml::node* node = find(top, path);
  if (!node) return std::string(text);
  const toml::table& table = *find(top, TomlPath(path.begin(), path.end() - 1))->as_table();
  if (node->is_table() || node->is_array_of_tables() || table.is_inline()) not_in_place(path);
  std::size_t key = offset(text, table.find(path.back())->first.source().begin);
  std::size_t end = line_end(text, offset(text, node->source().end));
  return std::string(text.substr(0, line_begin(text, key))) + std::string(text.substr(end));
}

}  // namespace drover
