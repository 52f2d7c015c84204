#include "detect/json_edit.hpp"

#include <algorithm>
#include <vector>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {

// As deep as the engine itself reads (Go's encoding/json).
constexpr std::size_t kMaxDepth = 10000;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// A half-open range of the source text.
struct Span {
  std::size_t begin = 0, end = 0;
  std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
};

struct Member {
  Span key;  ///< with its quotes
  Span value;
};

struct Object {
  std::size_t open = 0, close = 0;  ///< where its braces are
  std::vector<Member> members;
};

/// Reads strict JSON (RFC 8259) by position and builds nothing; nesting costs a byte a level, never a stack
/// frame.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Object object() {
    if (text_.starts_with("\xef\xbb\xbf"))
      throw Error("not JSON: it starts with a byte order mark, which the engine does not read either",
                  "save the file as UTF-8 without a byte order mark");
    skip_space();
    Object object;
    object.open = at_;
    expect('{', "an object");
    skip_space();
    if (peek() != '}') {
      do object.members.push_back(member());
      while (take(','));
    }
    object.close = at_;
    expect('}', "`,` or `}`");
    end();
    return object;
  }

  void only_value() {
    skip_space();
    value();
    end();
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  void expect(char c, const char* what) {
    if (!take(c)) fail(what);
  }

  [[noreturn]] void fail(const std::string& wanted) const {
    std::string_view before = text_.substr(0, at_);
    auto line = std::count(before.begin(), before.end(), '\n') + 1;
    std::size_t start = before.rfind('\n');
    std::size_t column = at_ - (start == std::string_view::npos ? 0 : start + 1) + 1;
    throw Error("not JSON: " + wanted + " expected at line " + std::to_string(line) + ", column " +
                std::to_string(column) + (at_ >= text_.size() ? " (the end of the text)" : ""));
  }

  void end() {
    skip_space();
    if (at_ != text_.size()) fail("the end of the text");
  }

  Member member() {
    Member m;
    skip_space();
    m.key.begin = at_;
    string();
    m.key.end = at_;
    skip_space();
    expect(':', "`:`");
    skip_space();
    m.value.begin = at_;
    value();
    m.value.end = at_;
    skip_space();
    return m;
  }

  void string() {
    expect('"', "a string");
    for (;;) {
      if (at_ >= text_.size() || static_cast<unsigned char>(text_[at_]) < 0x20) fail("the end of a string");
      char c = text_[at_];
      if (c == '\\') {
        escape();
        continue;
      }
      ++at_;
      if (c == '"') return;
    }
  }

  void escape() {
    ++at_;
    if (take('u')) {
      for (int i = 0; i < 4; ++i, ++at_)
        if (hex_digit(peek()) < 0) fail("a hexadecimal digit");
      return;
    }
    if (at_ >= text_.size() || std::string_view("\"\\/bfnrt").find(text_[at_]) == std::string_view::npos)
      fail("an escape that JSON knows");
    ++at_;
  }

  void digits() {
    if (!is_digit(peek())) fail("a digit");
    while (is_digit(peek())) ++at_;
  }

  void number() {
    take('-');
    if (!take('0')) digits();
    if (take('.')) digits();
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      digits();
    }
  }

  void scalar() {
    for (std::string_view word : {"true", "false", "null"})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return;
      }
    if (peek() == '"')
      string();
    else if (peek() == '-' || is_digit(peek()))
      number();
    else
      fail("a value");
  }

  void key() {
    skip_space();
    string();
    skip_space();
    expect(':', "`:`");
  }

  /// One value with all that is nested in it: `open` holds the closers that are still to come.
  void value() {
    std::string open;
    for (;;) {
      skip_space();
      if (char c = peek(); c == '{' || c == '[') {
        ++at_;
        if (open.size() >= kMaxDepth) fail("less nesting");
        open += c == '{' ? '}' : ']';
        skip_space();
        if (peek() != open.back()) {
          if (c == '{') key();
          continue;
        }
      } else {
        scalar();
      }
      if (!close(open)) return;
    }
  }

  /// After a value: closes what ends here. True if one more value is to follow.
  bool close(std::string& open) {
    while (!open.empty()) {
      skip_space();
      if (take(',')) {
        if (open.back() == '}') key();
        return true;
      }
      expect(open.back(), open.back() == '}' ? "`,` or `}`" : "`,` or `]`");
      open.pop_back();
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

void append_utf8(std::string& out, unsigned code) {
  auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

unsigned hex4(std::string_view text) {
  unsigned code = 0;
  for (char c : text.substr(0, 4)) code = code << 4 | static_cast<unsigned>(hex_digit(c));
  return code;
}

/// The bytes that a scanned string literal stands for.
std::string unquote(std::string_view literal) {
  std::string_view in = literal.substr(1, literal.size() - 2);
  std::string out;
  while (!in.empty()) {
    if (in[0] != '\\') {
      out += in[0];
      in.remove_prefix(1);
    } else if (in[1] != 'u') {
      constexpr std::string_view from = "bfnrt", to = "\b\f\n\r\t";
      std::size_t i = from.find(in[1]);
      out += i == std::string_view::npos ? in[1] : to[i];
      in.remove_prefix(2);
    } else {
      unsigned code = hex4(in.substr(2));
      in.remove_prefix(6);
      bool pair = code >= 0xd800 && code < 0xdc00 && in.size() >= 6 && in[0] == '\\' && in[1] == 'u';
      if (unsigned low = pair ? hex4(in.substr(2)) : 0; low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        in.remove_prefix(6);
      }
      append_utf8(out, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
    }
  }
  return out;
}

bool is_key(std::string_view text, const Member& m, std::string_view key) {
  std::string_view literal = m.key.of(text);
  if (literal.find('\\') == std::string_view::npos) return literal.substr(1, literal.size() - 2) == key;
  return unquote(literal) == key;
}

std::string_view line_end(std::string_view text) {
  return text.find("\r\n") == std::string_view::npos ? "\n" : "\r\n";
}

/// What stands between a new last member and the comma before it: as before the last one, less blank lines.
std::string new_member_lead(std::string_view text, const Object& object) {
  const Member& last = object.members.back();
  std::size_t begin = last.key.begin;
  while (begin > 0 && is_space(text[begin - 1])) --begin;
  std::string_view lead = text.substr(begin, last.key.begin - begin);
  if (std::size_t line = lead.rfind('\n'); line != std::string_view::npos)
    return std::string(line_end(text)) + std::string(lead.substr(line + 1));
  if (object.members.size() > 1) return std::string(lead);
  return is_space(text[last.value.begin - 1]) ? " " : "";
}

std::string new_member(std::string_view text, const Object& object, std::string_view key,
                       std::string_view value) {
  std::string colon = ": ";
  if (!object.members.empty()) {
    const Member& last = object.members.back();
    std::string_view between = text.substr(last.key.end, last.value.begin - last.key.end);
    if (between.find('\n') == std::string_view::npos) colon = between;
  }
  return json_quote(key) + colon + std::string(value);
}

}  // namespace

std::optional<std::string> json_value_text(std::string_view text, std::string_view key) {
  Object object = Scanner(text).object();
  for (auto m = object.members.rbegin(); m != object.members.rend(); ++m)
    if (is_key(text, *m, key)) return std::string(m->value.of(text));
  return std::nullopt;
}

std::string json_set(std::string_view text, std::string_view key, std::string_view value) {
  Scanner(value).only_value();
  Object object = Scanner(text).object();
  std::string out;
  std::size_t copied = 0;
  bool found = false;
  for (const Member& m : object.members) {
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
  Object object = Scanner(text).object();
  // What is kept is joined again: each member with the space before it, the first with that of the old first.
  std::string out(text.substr(0, object.open + 1));
  std::size_t lead = object.open + 1;
  bool first = true;
  for (std::size_t i = 0; i < object.members.size(); ++i) {
    const Member& m = object.members[i];
    std::size_t next = i + 1 < object.members.size() ? text.find(',', m.value.end) + 1 : 0;
    if (!is_key(text, m, key)) {
      if (!first) out += ',';
      const std::size_t begin = first ? object.open + 1 : lead;
      const std::size_t end = first ? object.members.front().key.begin : m.key.begin;
      out += text.substr(begin, end - begin);
      out += text.substr(m.key.begin, m.value.end - m.key.begin);
      first = false;
    }
    lead = next;
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
