#include "tests/fuzz/tar_text.hpp"

#include <sys/sysmacros.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

#include "migrate/archive/tar_member.hpp"
#include "tests/fuzz/target.hpp"

namespace drover::fuzz {

namespace {

constexpr std::pair<char, TarMember::Type> kLetters[] = {
    {'d', TarMember::Type::directory}, {'f', TarMember::Type::regular},   {'l', TarMember::Type::hard_link},
    {'s', TarMember::Type::symlink},   {'c', TarMember::Type::character}, {'b', TarMember::Type::block},
    {'p', TarMember::Type::fifo},      {'u', TarMember::Type::socket},
};

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words(1);
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == ' ')
      words.emplace_back();
    else if (line[i] == '\\' && i + 1 < line.size() && (line[i + 1] == 's' || line[i + 1] == '0'))
      words.back() += line[++i] == 's' ? ' ' : '\0';
    else
      words.back() += line[i];
  }
  words.resize(3);
  return words;
}

template <class Number>
Number number_of(const std::string& text, int base = 10) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

struct TextMember {
  TarMember member;
  std::string content;
  std::string bytes() const {
    return tar_headers(member) + content + std::string(tar_padding(content.size()), '\0');
  }
};

std::optional<TextMember> begin_member(const std::vector<std::string>& words) {
  for (const auto& [letter, type] : kLetters) {
    if (words[0].size() != 1 || words[0][0] != letter) continue;
    TextMember made;
    made.member.name = words[1];
    made.member.type = type;
    made.member.mode = type == TarMember::Type::directory ? 0755 : 0644;
    if (type == TarMember::Type::regular) made.content = words[2];
    if (type == TarMember::Type::symlink || type == TarMember::Type::hard_link) made.member.target = words[2];
    if (type == TarMember::Type::character || type == TarMember::Type::block)
      made.member.device = makedev(1, 3);
    made.member.size = made.content.size();
    return made;
  }
  return std::nullopt;
}

void change_member(TarMember& member, const std::vector<std::string>& words) {
  if (words[0] == "m") member.mode = number_of<unsigned>(words[1], 8) & 07777;
  if (words[0] == "o") member.uid = number_of<unsigned>(words[1]), member.gid = number_of<unsigned>(words[2]);
  if (words[0] == "t")
    member.mtime = {number_of<std::int32_t>(words[1]), number_of<long>(words[2]) & 0xfffffff};
  if (words[0] == "a" && !words[1].empty()) member.xattrs.emplace_back(words[1], words[2]);
  if (words[0] == "r" && !words[1].empty()) member.drover.insert_or_assign(words[1], words[2]);
  if (words[0] == "n") member.device = 0;
}

}  // namespace

std::string tar_of_text(std::string_view text) {
  std::string tar;
  std::optional<TextMember> last;
  for (const std::string& line : lines_of(text)) {
    const std::vector<std::string> words = words_of(line);
    if (auto next = begin_member(words)) {
      if (last) tar += last->bytes();
      last = std::move(next);
    } else if (last) {
      change_member(last->member, words);
    }
  }
  if (last) tar += last->bytes();
  return tar + tar_end();
}

std::string with_checksums(std::string_view tar) {
  std::string mended(tar);
  for (std::size_t at = 0; at + kTarBlock <= mended.size(); at += kTarBlock) {
    char* block = mended.data() + at;
    if (std::memcmp(block + 257, "ustar", 5) != 0) continue;
    std::memset(block + 148, ' ', 8);
    unsigned sum = 0;
    for (std::size_t i = 0; i < kTarBlock; ++i) sum += static_cast<unsigned char>(block[i]);
    std::snprintf(block + 148, 8, "%06o", sum);
  }
  return mended;
}

}  // namespace drover::fuzz
