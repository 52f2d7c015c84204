#include "migrate/archive/tar_reader.hpp"

#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

constexpr std::uint64_t kMostSpecial = 1 << 20;  // as Go's archive/tar: of a pax header or a long name

[[noreturn]] void damaged(const std::string& why) { throw Error("its tar is damaged: " + why); }

std::string_view field(const char* block, std::size_t at, std::size_t size) {
  std::string_view text(block + at, size);
  return text.substr(0, text.find('\0'));
}

/// Octal digits between blanks and zero bytes, or GNU's base 256 behind a set bit, where a second one makes
/// it negative: what Go's archive/tar takes for a number.
std::optional<std::int64_t> find_number(std::string_view text) {
  auto first = static_cast<unsigned char>(text[0]);
  if (first & 0x80) {
    const unsigned flip = first & 0x40 ? 0xff : 0;
    std::uint64_t value = (first ^ flip) & 0x7f;
    for (char byte : text.substr(1)) {
      if (value >> 55) return std::nullopt;
      value = value << 8 | (static_cast<unsigned char>(byte) ^ flip);
    }
    return static_cast<std::int64_t>(flip ? ~value : value);
  }
  constexpr std::string_view kBlanks(" \0", 2);
  std::size_t from = std::min(text.find_first_not_of(kBlanks), text.size());
  text = text.substr(from, text.find_last_not_of(kBlanks) + 1 - from);
  text = text.substr(0, text.find('\0'));
  std::uint64_t value = 0;
  if (text.empty()) return 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return static_cast<std::int64_t>(value);  // of twelve digits at most
}

std::int64_t any_number(const char* block, std::size_t at, std::size_t size, const char* what) {
  auto value = find_number({block + at, size});
  bool is_octal = (block[at] & 0x80) == 0;
  if (!value) damaged(std::string("its ") + what + (is_octal ? " is no number" : " is too large"));
  return *value;
}

std::uint64_t number(const char* block, std::size_t at, std::size_t size, const char* what) {
  if ((block[at] & 0xc0) == 0xc0) damaged(std::string("its ") + what + " is negative");
  return static_cast<std::uint64_t>(any_number(block, at, size, what));
}

std::uint32_t id_number(const char* block, std::size_t at, const char* what) {
  std::uint64_t value = number(block, at, 8, what);
  if (value > UINT32_MAX) damaged(std::string("its ") + what + " is too large");
  return static_cast<std::uint32_t>(value);
}

template <class Number>
Number decimal(std::string_view text, const char* what) {
  Number value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    damaged(std::string("its ") + what + " is `" + printable(text.substr(0, 40)) + "`");
  return value;
}

timespec parse_time(std::string_view text) {
  bool negative = text.starts_with('-');
  std::size_t point = std::min(text.find('.'), text.size());
  timespec time{};
  time.tv_sec = decimal<std::int64_t>(text.substr(0, point), "time");
  if (time.tv_sec == INT64_MIN)
    damaged("its time is too small");  // it has no opposite, which a header states
  std::string digits(text.substr(std::min(point + 1, text.size())));
  if (digits.find_first_not_of("0123456789") != std::string::npos) damaged("its time is no number");
  digits.resize(9, '0');
  time.tv_nsec = decimal<long>(digits, "time");
  if (negative && time.tv_nsec > 0) {
    --time.tv_sec;
    time.tv_nsec = 1'000'000'000 - time.tv_nsec;
  }
  return time;
}

std::string unhex(std::string_view text) {
  if (text.size() % 2 != 0) damaged("an attribute's name is no hex");
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (error != std::errc{} || end != text.data() + i + 2) damaged("an attribute's name is no hex");
    if (value == 0) damaged("an attribute's name holds a zero byte");
    bytes += static_cast<char>(value);
  }
  return bytes;
}

/// The forms of headers that Go's archive/tar tells apart.
enum class HeaderForm { v7, ustar, star, gnu };

HeaderForm form_of(const char* block) {
  std::string_view magic(block + 257, 8);
  if (magic == std::string_view("ustar  \0", 8)) return HeaderForm::gnu;
  if (!magic.starts_with(std::string_view("ustar\0", 6))) return HeaderForm::v7;
  bool is_star = std::string_view(block + 508, 4) == std::string_view("tar\0", 4);
  return is_star ? HeaderForm::star : HeaderForm::ustar;
}

/// What stands before the header's name.
std::string_view prefix_of(const char* block, HeaderForm form) {
  constexpr std::size_t kTime = 12;
  std::string_view prefix = field(block, 345, 155);
  if (form == HeaderForm::ustar) return prefix;
  if (form == HeaderForm::star) {
    for (std::size_t at : {476, 488}) any_number(block, at, kTime, "time");
    return field(block, 345, 131);
  }
  if (form == HeaderForm::v7) return {};
  // GNU has times there. Go before 1.8 wrote a prefix all the same, and reads it since where they are none.
  auto is_time = [&](std::size_t at) { return block[at] == '\0' || find_number({block + at, kTime}); };
  if (is_time(345) && is_time(357)) return {};
  bool is_ascii = std::none_of(prefix.begin(), prefix.end(), [](char byte) { return byte & 0x80; });
  return is_ascii ? prefix : std::string_view();
}

bool is_zero(const char* block) {
  return std::all_of(block, block + kTarBlock, [](char c) { return c == '\0'; });
}

/// Of the header's bytes, in which the checksum itself counts as blanks.
template <typename Byte>
std::int64_t sum_of(const char* block) {
  const Byte* bytes = reinterpret_cast<const Byte*>(block);
  auto sum = [&](int from, int to) { return std::accumulate(bytes + from, bytes + to, std::int64_t{0}); };
  return sum(0, 148) + 8 * ' ' + sum(156, kTarBlock);
}

void check_sum(const char* block) {
  auto stated = static_cast<std::int64_t>(number(block, 148, 8, "checksum"));
  // Some old tars took bytes for numbers with signs.
  if (stated != sum_of<unsigned char>(block) && stated != sum_of<signed char>(block))
    damaged("a header's checksum is wrong");
}

TarMember::Type type_of(char flag, std::string_view name) {
  switch (flag) {
    case '\0':  // of tars older than the flag for directories; an engine makes a file of '0' and `name/`
      return name.ends_with('/') ? TarMember::Type::directory : TarMember::Type::regular;
    case '7':
    case '0':
      return TarMember::Type::regular;
    case '1':
      return TarMember::Type::hard_link;
    case '2':
      return TarMember::Type::symlink;
    case '3':
      return TarMember::Type::character;
    case '4':
      return TarMember::Type::block;
    case '5':
      return TarMember::Type::directory;
    case '6':
      return TarMember::Type::fifo;
    case 'S':
      throw Error("`" + printable(name) + "` is a sparse member, which no tar-split leads back to");
    default:
      break;
  }
  damaged("`" + printable(name) + "` is of the unknown type " + printable({&flag, 1}));
}

void refuse_zero_bytes(const std::string& text) {
  if (text.find('\0') != std::string::npos) damaged("a name holds a zero byte");
}

}  // namespace

void TarReader::take(char* to, std::size_t size) {
  read_exactly(source_, to, size, "its tar");
  if (observer_) observer_->structure({to, size});
}

/// False at the end of the source, which may only be between two blocks.
bool TarReader::read_block(char* block) {
  std::size_t n = source_.read(block, kTarBlock);
  if (n == 0) return false;
  read_exactly(source_, block + n, kTarBlock - n, "its tar");
  if (observer_) observer_->structure({block, kTarBlock});
  return true;
}

void TarReader::finish_member() {
  char block[64 << 10];
  while (rest_ > 0) {
    check_interrupted();
    read(block, sizeof block);
  }
  if (padding_ > 0) take(block, padding_);
  padding_ = 0;
}

std::string TarReader::read_special(std::uint64_t size) {
  if (size > kMostSpecial) damaged("a header has " + std::to_string(size) + " bytes");
  std::string text(size, '\0');
  take(text.data(), text.size());
  char padding[kTarBlock];
  take(padding, tar_padding(size));
  return text;
}

void TarReader::parse_header(const char* block, TarMember& member) const {
  HeaderForm form = form_of(block);
  member.name = std::string(field(block, 0, 100));
  if (std::string prefix(prefix_of(block, form)); !prefix.empty()) member.name = prefix + "/" + member.name;
  member.target = std::string(field(block, 157, 100));
  member.mode = static_cast<mode_t>(number(block, 100, 8, "mode") & 07777);
  member.uid = id_number(block, 108, "owner");
  member.gid = id_number(block, 116, "group");
  member.size = number(block, 124, 12, "size");
  // GNU writes a time before 1970 in base 256; the engine's own tars have pax records.
  member.mtime.tv_sec = any_number(block, 136, 12, "time");
  if (member.mtime.tv_sec == INT64_MIN) damaged("its time is too small");
  if (form != HeaderForm::v7)
    member.device = makedev(static_cast<unsigned>(number(block, 329, 8, "device")),
                            static_cast<unsigned>(number(block, 337, 8, "device")));
}

TarReader::PaxRecords TarReader::parse_pax(std::string_view text) {
  PaxRecords records;
  while (!text.empty()) {
    std::size_t blank = text.find(' ');
    if (blank == std::string_view::npos || blank > 20) damaged("a pax record has no length");
    auto length = decimal<std::uint64_t>(text.substr(0, blank), "length");
    if (length > text.size() || length < blank + 3 || text[length - 1] != '\n')
      damaged("a pax record has a wrong length");
    std::string_view record = text.substr(blank + 1, length - blank - 2);
    text.remove_prefix(length);
    std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) damaged("a pax record has no value");
    // One with a zero byte would be another key for whoever takes it for a string's end.
    std::string key(record.substr(0, equals));
    if (key.empty() || key.find('\0') != std::string::npos) damaged("a pax record has no valid key");
    records.insert_or_assign(std::move(key), record.substr(equals + 1));
  }
  return records;
}

void TarReader::apply_pax(const PaxRecords& records, TarMember& member) const {
  constexpr std::string_view kXattr = "SCHILY.xattr.", kOwn = "DROVER.", kHexXattr = "DROVER.xattr.";
  for (const auto& [name, value] : records) {
    std::string_view key = name;
    if (key.starts_with(kXattr))
      member.xattrs.emplace_back(key.substr(kXattr.size()), value);
    else if (key.starts_with(kOwn) && !knows_own_)
      continue;
    else if (key.starts_with(kHexXattr))
      member.xattrs.emplace_back(unhex(key.substr(kHexXattr.size())), value);
    else if (key.starts_with(kOwn))
      member.drover.insert_or_assign(std::string(key.substr(kOwn.size())), value);
    else if (key.starts_with("GNU.sparse."))
      throw Error("`" + printable(member.name) + "` is a sparse member, which no tar-split leads back to");
    else if (value.empty())
      continue;  // what the header says stays
    else if (key == "path")
      member.name = value;
    else if (key == "linkpath")
      member.target = value;
    else if (key == "size")
      member.size = decimal<std::uint64_t>(value, "size");
    else if (key == "uid")
      member.uid = decimal<std::uint32_t>(value, "owner");
    else if (key == "gid")
      member.gid = decimal<std::uint32_t>(value, "group");
    else if (key == "mtime")
      member.mtime = parse_time(value);
  }
}

/// The end is two blocks of zeros, or that of the source.
void TarReader::require_end() {
  char block[kTarBlock];
  if (read_block(block) && !is_zero(block)) damaged("there is more behind a block of zeros");
}

bool TarReader::next(TarMember& member) {
  if (ended_) return false;
  finish_member();
  char block[kTarBlock];
  PaxRecords pax;
  std::string long_name, long_target;
  bool after_header = false;
  for (;;) {
    check_interrupted();  // headers before a member may have no end
    bool found = read_block(block);
    if (!found || is_zero(block)) {
      if (after_header) damaged("it ends behind a header");
      if (found) require_end();
      ended_ = true;
      return false;
    }
    check_sum(block);
    std::uint64_t size = number(block, 124, 12, "size");
    char flag = block[156];
    after_header = true;
    // As in Go's archive/tar, which is what an engine reads a layer with: the last one counts.
    if (flag == 'x') {
      pax = parse_pax(read_special(size));
    } else if (flag == 'g') {
      read_special(size);  // a member of its own there, which engines pass over, with what came before it
      after_header = false;
      pax.clear();
      long_name.clear();
      long_target.clear();
    } else if (flag == 'L') {
      long_name = read_special(size);
    } else if (flag == 'K') {
      long_target = read_special(size);
    } else {
      break;
    }
  }
  member = TarMember();
  parse_header(block, member);
  apply_pax(pax, member);
  long_name.resize(std::min(long_name.find('\0'), long_name.size()));
  long_target.resize(std::min(long_target.find('\0'), long_target.size()));
  if (!long_name.empty()) member.name = std::move(long_name);
  if (!long_target.empty()) member.target = std::move(long_target);
  for (const std::string* name : {&member.name, &member.target})
    if (name->size() > kLongestTarPath)
      damaged("`" + printable(shortened_path(*name)) + "` has " + std::to_string(name->size()) + " bytes");
  refuse_zero_bytes(member.name);
  refuse_zero_bytes(member.target);
  std::sort(member.xattrs.begin(), member.xattrs.end());
  member.type = type_of(block[156], member.name);
  if (auto type = member.drover.find("type"); type != member.drover.end()) {
    if (type->second != "socket") damaged("its type is `" + printable(type->second) + "`");
    member.type = TarMember::Type::socket;
    member.drover.erase(type);
  }
  bool has_content = member.type == TarMember::Type::regular;
  if (member.size > static_cast<std::uint64_t>(INT64_MAX)) damaged("its size is too large");
  // A hard link may state the size of what it links to; nothing follows it.
  if (!has_content) member.size = 0;
  rest_ = member.size;
  padding_ = tar_padding(member.size);
  if (observer_) observer_->member(member);
  return true;
}

std::size_t TarReader::read(char* to, std::size_t size) {
  size = static_cast<std::size_t>(std::min<std::uint64_t>(size, rest_));
  if (size == 0) return 0;
  std::size_t n = source_.read(to, size);
  if (n == 0) throw Error("its tar ends too early");
  if (observer_) observer_->content({to, n});
  rest_ -= n;
  return n;
}

std::string TarReader::read_all(std::size_t limit) {
  if (rest_ > limit) damaged("a record has " + std::to_string(rest_) + " bytes");
  // As it comes: what a header claims may never come.
  std::string text, block(std::clamp<std::uint64_t>(rest_, 1, 64 << 10), '\0');
  while (std::size_t n = read(block.data(), block.size())) text.append(block, 0, n);
  return text;
}

}  // namespace drover
