#include "migrate/archive/tar_member.hpp"

#include <sys/sysmacros.h>

#include <array>
#include <cstring>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr std::pair<TarMember::Type, char> kFlags[] = {
    {TarMember::Type::regular, '0'},   {TarMember::Type::hard_link, '1'}, {TarMember::Type::symlink, '2'},
    {TarMember::Type::character, '3'}, {TarMember::Type::block, '4'},     {TarMember::Type::directory, '5'},
    {TarMember::Type::fifo, '6'},      {TarMember::Type::socket, '0'},  // with a record of ours
};

constexpr std::size_t kNameField = 100, kLinkField = 100;

/// One header block.
class Header {
 public:
  Header() { block_.fill('\0'); }
  void text(std::size_t at, std::size_t size, std::string_view value) {
    std::memcpy(block_.data() + at, value.data(), std::min(size, value.size()));
  }
  void octal(std::size_t at, std::size_t size, std::uint64_t value) {
    for (std::size_t i = size - 1; i-- > 0; value >>= 3)
      block_[at + i] = static_cast<char>('0' + (value & 7));
  }
  void sign() {
    std::memset(block_.data() + 148, ' ', 8);
    unsigned sum = 0;
    for (unsigned char byte : block_) sum += byte;
    octal(148, 7, sum);
  }
  std::string bytes() const { return {block_.data(), block_.size()}; }

 private:
  std::array<char, kTarBlock> block_;
};

constexpr std::uint64_t largest_octal(std::size_t field) { return (std::uint64_t{1} << 3 * (field - 1)) - 1; }

std::string pax_record(std::string_view key, std::string_view value) {
  std::size_t rest = key.size() + value.size() + 3, length = rest;
  while (length != rest + std::to_string(length).size()) length = rest + std::to_string(length).size();
  return std::to_string(length) + " " + std::string(key) + "=" + std::string(value) + "\n";
}

std::string time_text(const timespec& time) {
  // As a fraction of a negative number it counts the other way.
  bool negative = time.tv_sec < 0;
  std::int64_t seconds = time.tv_sec, nanos = time.tv_nsec;
  if (negative && nanos > 0) {
    ++seconds;
    nanos = 1'000'000'000 - nanos;
  }
  std::string text = (negative ? "-" : "") + std::to_string(negative ? -seconds : seconds);
  if (nanos == 0) return text;
  std::string digits = std::to_string(nanos);
  return text + "." + std::string(9 - digits.size(), '0') + digits;
}

std::string hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

/// The numbers and texts that the header has no room for are records, and nothing in the header.
std::string pax_records(const TarMember& member) {
  std::string records;
  if (member.name.size() > kNameField) records += pax_record("path", member.name);
  if (member.target.size() > kLinkField) records += pax_record("linkpath", member.target);
  if (member.size > largest_octal(12)) records += pax_record("size", std::to_string(member.size));
  if (member.uid > largest_octal(8)) records += pax_record("uid", std::to_string(member.uid));
  if (member.gid > largest_octal(8)) records += pax_record("gid", std::to_string(member.gid));
  if (member.mtime.tv_nsec != 0 || member.mtime.tv_sec < 0 ||
      static_cast<std::uint64_t>(member.mtime.tv_sec) > largest_octal(12))
    records += pax_record("mtime", time_text(member.mtime));
  for (const auto& [name, value] : member.xattrs)
    // A key ends at its first "=".
    records += name.find('=') == std::string::npos ? pax_record("SCHILY.xattr." + name, value)
                                                   : pax_record("DROVER.xattr." + hex(name), value);
  for (const auto& [name, value] : member.drover) records += pax_record("DROVER." + name, value);
  if (member.type == TarMember::Type::socket) records += pax_record("DROVER.type", "socket");
  return records;
}

char flag_of(TarMember::Type type) {
  for (const auto& [known, flag] : kFlags)
    if (known == type) return flag;
  return '0';
}

std::uint64_t fitting(std::uint64_t value, std::size_t field) {
  return value > largest_octal(field) ? 0 : value;
}

std::string header(const TarMember& member, char flag) {
  Header h;
  h.text(0, kNameField, member.name);
  h.octal(100, 8, member.mode);
  h.octal(108, 8, fitting(member.uid, 8));
  h.octal(116, 8, fitting(member.gid, 8));
  h.octal(124, 12, fitting(member.size, 12));
  h.octal(136, 12,
          member.mtime.tv_sec < 0 ? 0 : fitting(static_cast<std::uint64_t>(member.mtime.tv_sec), 12));
  h.text(156, 1, {&flag, 1});
  h.text(157, kLinkField, member.target);
  h.text(257, 8, std::string_view("ustar\00000", 8));
  h.octal(329, 8, major(member.device));
  h.octal(337, 8, minor(member.device));
  h.sign();
  return h.bytes();
}

}  // namespace

struct stat TarMember::as_stat() const {
  constexpr std::pair<Type, mode_t> kFormats[] = {
      {Type::regular, S_IFREG}, {Type::hard_link, S_IFREG}, {Type::symlink, S_IFLNK},
      {Type::fifo, S_IFIFO},    {Type::directory, S_IFDIR}, {Type::socket, S_IFSOCK},
      {Type::block, S_IFBLK},   {Type::character, S_IFCHR},
  };
  struct stat st {};
  for (const auto& [known, format] : kFormats)
    if (known == type) st.st_mode = format;
  st.st_mode |= mode & 07777;
  st.st_nlink = 1;
  st.st_uid = uid;
  st.st_gid = gid;
  st.st_rdev = device;
  st.st_size = static_cast<off_t>(type == Type::symlink ? target.size() : size);
  st.st_atim = st.st_mtim = mtime;
  return st;
}

TarMember member_of(std::string name, const struct stat& st) {
  TarMember member;
  member.name = std::move(name);
  switch (st.st_mode & S_IFMT) {
    case S_IFREG:
      member.type = TarMember::Type::regular;
      break;
    case S_IFLNK:
      member.type = TarMember::Type::symlink;
      break;
    case S_IFDIR:
      member.type = TarMember::Type::directory;
      break;
    case S_IFCHR:
      member.type = TarMember::Type::character;
      break;
    case S_IFBLK:
      member.type = TarMember::Type::block;
      break;
    case S_IFIFO:
      member.type = TarMember::Type::fifo;
      break;
    case S_IFSOCK:
      member.type = TarMember::Type::socket;
      break;
    default:
      throw Error("`" + member.name + "` is of an unknown kind");
  }
  member.mode = st.st_mode & 07777;
  member.uid = st.st_uid;
  member.gid = st.st_gid;
  member.mtime = st.st_mtim;
  if (S_ISREG(st.st_mode)) member.size = static_cast<std::uint64_t>(st.st_size);
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) member.device = st.st_rdev;
  return member;
}

std::string tar_headers(const TarMember& member) {
  std::string records = pax_records(member), headers;
  if (!records.empty()) {
    TarMember pax;
    pax.name = "PaxHeaders/x";
    pax.mode = 0644;
    pax.size = records.size();
    headers = header(pax, 'x') + records + std::string(tar_padding(records.size()), '\0');
  }
  return headers + header(member, flag_of(member.type));
}

std::string tar_end() { return std::string(2 * kTarBlock, '\0'); }

}  // namespace drover
