#include "drivers/sys/printable.hpp"

#include <array>
#include <cstdint>

namespace drover {

namespace {

/// The length of the UTF-8 character that `text` begins with; 0 if it begins with none.
std::size_t utf8_length(std::string_view text) {
  auto byte = [&](std::size_t i) -> std::uint32_t { return static_cast<unsigned char>(text[i]); };
  std::uint32_t lead = byte(0);
  if (lead < 0x80) return 1;
  std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  std::uint32_t code = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < kLeast[length] || code > 0x10ffff || surrogate ? 0 : length;
}

/// Characters that steer a terminal or the direction of text.
bool steers(std::string_view character) {
  unsigned char c = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return c < 0x20 || c == 0x7f;
  unsigned char second = static_cast<unsigned char>(character[1]);
  if (c == 0xc2) return second < 0xa0;  // C1 controls
  if (c != 0xe2 || character.size() != 3) return false;
  unsigned char third = static_cast<unsigned char>(character[2]);
  // U+2028..202E: line separators and bidirectional embeddings; U+2066..2069: isolates.
  return (second == 0x80 && third >= 0xa8 && third <= 0xae) ||
         (second == 0x81 && third >= 0xa6 && third <= 0xa9);
}

constexpr std::string_view kLeftOut = "/...";
// About how much a message shows of a path at either end.
constexpr std::size_t kShownPath = 400;

}  // namespace

std::string shortened_path(std::string_view path) {
  if (path.size() <= 2 * kShownPath) return std::string(path);
  // Whole names, unless one is longer than all that is to be shown.
  std::size_t head = path.rfind('/', kShownPath), tail = path.find('/', path.size() - kShownPath);
  if (head == std::string_view::npos || head == 0) head = kShownPath;
  if (tail == std::string_view::npos) tail = path.size() - kShownPath;
  std::string_view end = path.substr(tail);
  std::string text(path.substr(0, head));
  text += kLeftOut;
  if (end.starts_with(kLeftOut)) end.remove_prefix(kLeftOut.size());
  if (!end.starts_with('/')) text += '/';
  return text.append(end);
}

bool is_shortened(std::string_view path) { return path.find("/.../") != std::string_view::npos; }

std::string path_above(std::string_view path) {
  std::string_view above = path.substr(0, path.rfind('/'));
  if (above.ends_with(kLeftOut)) return std::string(above) + "/..";
  return std::string(above);
}

std::string printable(std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    std::size_t length = utf8_length(bytes);
    std::string_view character = bytes.substr(0, length == 0 ? 1 : length);
    bytes.remove_prefix(character.size());
    if (length != 0 && !steers(character)) {
      text += character;
      continue;
    }
    for (unsigned char c : character) ((text += "\\x") += kHex[c >> 4]) += kHex[c & 15];
  }
  return text;
}

std::string as_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    std::size_t length = utf8_length(bytes);
    text += length == 0 ? "\xef\xbf\xbd" : bytes.substr(0, length);
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
  return text;
}

}  // namespace drover
