#include "detect/json_scan.hpp"

#include <algorithm>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {

// As deep as the engine itself reads (Go's encoding/json).
constexpr std::size_t kMaxDepth = 10000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Reads strict JSON (RFC 8259) by position and builds nothing; nesting costs a byte a level, never a stack
/// frame.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  JsonObject object() {
    if (text_.starts_with("\xef\xbb\xbf"))
      throw Error("not JSON: it starts with a byte order mark, which the engine does not read either",
                  "save the file as UTF-8 without a byte order mark");
    skip_space();
    JsonObject object;
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
    while (at_ < text_.size() && is_json_space(text_[at_])) ++at_;
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
                    std::to_string(column) + (at_ >= text_.size() ? " (the end of the text)" : ""),
                "correct it there first; nothing was changed");
  }

  void end() {
    skip_space();
    if (at_ != text_.size()) fail("the end of the text");
  }

  JsonMember member() {
    JsonMember m;
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

}  // namespace

bool is_json_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

JsonObject scan_json_object(std::string_view text) { return Scanner(text).object(); }

void check_json_value(std::string_view text) { Scanner(text).only_value(); }

std::string json_unquote(std::string_view literal) {
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

}  // namespace drover
