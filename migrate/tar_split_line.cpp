#include "migrate/tar_split_line.hpp"

#include <nettle/base64.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {

/// Walks over the tokens of one JSON object. Strings come as their text between the quotes; only those with
/// escapes are copied.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : at_(text.data()), end_(at_ + text.size()) {}

  /// The next thing that is no white space; 0 at the end.
  char peek() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r')) ++at_;
    return at_ < end_ ? *at_ : '\0';
  }
  bool skip(char c) {
    if (peek() != c || at_ == end_) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!skip(c)) throw Error(std::string("not a JSON object: expected `") + c + "`");
  }

  std::string_view string(std::string& buffer) {
    expect('"');
    std::string_view rest(at_, end_);
    std::string_view plain = rest.substr(0, rest.find('"'));
    if (plain.size() < rest.size() && plain.find('\\') == std::string_view::npos) {
      at_ += plain.size() + 1;
      return plain;
    }
    buffer.clear();
    while (at_ < end_ && *at_ != '"') {
      if (*at_ == '\\')
        unescape(buffer);
      else
        buffer += *at_++;
    }
    expect('"');
    return buffer;
  }

  std::uint64_t number() {
    peek();
    std::uint64_t value = 0;
    auto [stop, error] = std::from_chars(at_, end_, value);
    bool whole = error == std::errc{} && (stop == end_ || *stop == ',' || *stop == '}' || *stop == ' ');
    if (!whole || value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      throw Error("a number that is none or out of range");
    at_ = stop;
    return value;
  }

  bool skip_null() {
    peek();
    if (!std::string_view(at_, end_).starts_with("null")) return false;
    at_ += 4;
    return true;
  }

  /// Passes over the value of a key that is of no use here; such values are plain ones.
  void skip_value(std::string& buffer) {
    if (peek() == '"') {
      string(buffer);
      return;
    }
    const char* from = at_;
    while (at_ < end_ && *at_ != ',' && *at_ != '}' && *at_ != '{' && *at_ != '[' && *at_ != '"') ++at_;
    if (at_ == from || (at_ < end_ && *at_ != ',' && *at_ != '}')) throw Error("a value that is not plain");
  }

 private:
  void unescape(std::string& out) {
    ++at_;
    if (at_ == end_) throw Error("a string without an end");
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    char c = *at_++;
    if (std::size_t i = kLetters.find(c); i != std::string_view::npos)
      out += kMeanings[i];
    else if (c == 'u')
      append_utf8(out, code_point());
    else
      throw Error("a string with a bad escape");
  }

  std::uint32_t code_unit() {
    std::uint32_t unit = 0;
    if (end_ - at_ < 4) throw Error("a string with a bad escape");
    auto [stop, error] = std::from_chars(at_, at_ + 4, unit, 16);
    if (error != std::errc{} || stop != at_ + 4) throw Error("a string with a bad escape");
    at_ = stop;
    return unit;
  }

  std::uint32_t code_point() {
    std::uint32_t unit = code_unit();
    if (unit < 0xd800 || unit > 0xdfff) return unit;
    if (unit > 0xdbff || end_ - at_ < 6 || at_[0] != '\\' || at_[1] != 'u')
      throw Error("a string with half a surrogate pair");
    at_ += 2;
    std::uint32_t low = code_unit();
    if (low < 0xdc00 || low > 0xdfff) throw Error("a string with half a surrogate pair");
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
  }

  static void append_utf8(std::string& out, std::uint32_t code) {
    auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xc0 | code >> 6);
      tail(0);
    } else if (code < 0x10000) {
      out += static_cast<char>(0xe0 | code >> 12);
      tail(6), tail(0);
    } else {
      out += static_cast<char>(0xf0 | code >> 18);
      tail(12), tail(6), tail(0);
    }
  }

  const char* at_;
  const char* end_;
};

void decode_base64(std::string_view text, std::string& bytes) {
  bytes.resize(BASE64_DECODE_LENGTH(text.size()));
  base64_decode_ctx context;
  base64_decode_init(&context);
  std::size_t length = bytes.size();
  if (!base64_decode_update(&context, &length, reinterpret_cast<uint8_t*>(bytes.data()), text.size(),
                            text.data()) ||
      !base64_decode_final(&context))
    throw Error("bad base64");
  bytes.resize(length);
}

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (unsigned char byte : bytes) value = value << 8 | byte;
  return value;
}

/// What the keys of one line said.
struct Fields {
  std::uint64_t type = 0;
  bool has_payload = false;
};

void read_payload(Scanner& scan, std::string& buffer, TarSplitEntry& entry, Fields& fields) {
  if (scan.skip_null()) return;
  decode_base64(scan.string(buffer), entry.bytes);
  fields.has_payload = true;
}

Fields read_fields(Scanner& scan, TarSplitEntry& entry) {
  Fields fields;
  std::string key_buffer, buffer;
  scan.expect('{');
  if (scan.skip('}')) return fields;
  do {
    std::string_view key = scan.string(key_buffer);
    scan.expect(':');
    if (key == "type")
      fields.type = scan.number();
    else if (key == "size")
      entry.size = scan.number();
    else if (key == "name")
      entry.name = scan.string(buffer);
    else if (key == "name_raw") {
      if (!scan.skip_null()) decode_base64(scan.string(buffer), entry.name);
    } else if (key == "payload")
      read_payload(scan, buffer, entry, fields);
    else
      scan.skip_value(buffer);
  } while (scan.skip(','));
  scan.expect('}');
  if (scan.peek() != '\0') throw Error("something behind the JSON object");
  return fields;
}

void take_checksum(TarSplitEntry& entry) {
  if (entry.bytes.empty()) return;
  if (entry.bytes.size() != 8) throw Error("a file's checksum that is not of 8 bytes");
  entry.crc = big_endian(entry.bytes);
  entry.empty_crc = entry.crc == 0;
  entry.bytes.clear();
  if (entry.size == 0 && !entry.empty_crc) throw Error("a file with content but without a size");
}

}  // namespace

void parse_tar_split_line(std::string_view line, TarSplitEntry& entry) {
  entry.bytes.clear();
  entry.name.clear();
  entry.size = 0;
  entry.crc.reset();
  entry.empty_crc = false;
  Scanner scan(line);
  Fields fields = read_fields(scan, entry);
  switch (fields.type) {
    case 1:
      entry.kind = TarSplitEntry::Kind::file;
      return take_checksum(entry);
    case 2:
      entry.kind = TarSplitEntry::Kind::segment;
      return;
    default:
      throw Error("an entry that is neither file nor segment");
  }
}

}  // namespace drover
