#include "detect/json_edit.hpp"

#include "detect/json_scan.hpp"

namespace drover {

namespace {

bool is_key(std::string_view text, const JsonMember& m, std::string_view key) {
  std::string_view literal = m.key.of(text);
  if (literal.find('\\') == std::string_view::npos) return literal.substr(1, literal.size() - 2) == key;
  return json_unquote(literal) == key;
}

std::string_view line_end(std::string_view text) {
  return text.find("\r\n") == std::string_view::npos ? "\n" : "\r\n";
}

/// What stands between a new last member and the comma before it: as before the last one, less blank lines.
std::string new_member_lead(std::string_view text, const JsonObject& object) {
  const JsonMember& last = object.members.back();
  std::size_t begin = last.key.begin;
  while (begin > 0 && is_json_space(text[begin - 1])) --begin;
  std::string_view lead = text.substr(begin, last.key.begin - begin);
  if (std::size_t line = lead.rfind('\n'); line != std::string_view::npos)
    return std::string(line_end(text)) + std::string(lead.substr(line + 1));
  if (object.members.size() > 1) return std::string(lead);
  return is_json_space(text[last.value.begin - 1]) ? " " : "";
}

std::string new_member(std::string_view text, const JsonObject& object, std::string_view key,
                       std::string_view value) {
  std::string colon = ": ";
  if (!object.members.empty()) {
    const JsonMember& last = object.members.back();
    std::string_view between = text.substr(last.key.end, last.value.begin - last.key.end);
    if (between.find('\n') == std::string_view::npos) colon = between;
  }
  return json_quote(key) + colon + std::string(value);
}

}  // namespace

std::optional<std::string> json_value_text(std::string_view text, std::string_view key) {
  JsonObject object = scan_json_object(text);
  for (auto m = object.members.rbegin(); m != object.members.rend(); ++m)
    if (is_key(text, *m, key)) return std::string(m->value.of(text));
  return std::nullopt;
}

std::optional<std::string> json_key_starting(std::string_view text, std::string_view start) {
  for (const JsonMember& m : scan_json_object(text).members)
    if (std::string key = json_unquote(m.key.of(text)); key.starts_with(start)) return key;
  return std::nullopt;
}

std::string json_set(std::string_view text, std::string_view key, std::string_view value) {
  check_json_value(value);
  JsonObject object = scan_json_object(text);
  std::string out;
  std::size_t copied = 0;
  bool found = false;
  for (const JsonMember& m : object.members) {
    if (!is_key(text, m, key)) continue;
    out += text.substr(copied, m.value.begin - copied);
    out += value;
    copied = m.value.end;
    found = true;
  }
  if (found) return out.append(text.substr(copied));
  std::string member = new_member(text, object, key, value);
  if (object.members.empty()) {
    std::string line(line_end(text));
    return std::string(text.substr(0, object.open + 1)) + line + "  " + member + line +
           std::string(text.substr(object.close));
  }
  std::size_t end = object.members.back().value.end;
  return std::string(text.substr(0, end)) + "," + new_member_lead(text, object) + member +
         std::string(text.substr(end));
}

std::string json_remove(std::string_view text, std::string_view key) {
  JsonObject object = scan_json_object(text);
  // What is kept is joined again: each member with the space before it, the first with that of the old first.
  // Space behind a member goes with it too, but for the last one's, which stands before the brace.
  std::string out(text.substr(0, object.open + 1));
  std::size_t lead = object.open + 1;
  std::string_view behind;
  bool first = true;
  for (std::size_t i = 0; i < object.members.size(); ++i) {
    const JsonMember& m = object.members[i];
    std::size_t comma = i + 1 < object.members.size() ? text.find(',', m.value.end) : m.value.end;
    if (!is_key(text, m, key)) {
      if (!first) (out += behind) += ',';
      const std::size_t begin = first ? object.open + 1 : lead;
      const std::size_t end = first ? object.members.front().key.begin : m.key.begin;
      out += text.substr(begin, end - begin);
      out += text.substr(m.key.begin, m.value.end - m.key.begin);
      behind = text.substr(m.value.end, comma - m.value.end);
      first = false;
    }
    lead = comma + 1;
  }
  std::size_t tail = object.members.empty() ? object.open + 1 : object.members.back().value.end;
  return out.append(text.substr(tail));
}

std::string json_quote(std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace drover
