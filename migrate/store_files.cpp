#include <cerrno>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/symlink.hpp"
#include "migrate/store_parts.hpp"

namespace drover::store {

namespace {
constexpr std::size_t kWordLimit = 64 << 10;
constexpr std::string_view kSha256 = "sha256:";
}  // namespace

std::optional<Dir> records_dir(const Dir& parent, std::string_view name) {
  auto st = parent.try_stat(name);
  if (!st) return std::nullopt;
  if (S_ISDIR(st->st_mode)) return parent.sub(name);
  // Taken for absent, records behind a symlink would be left behind.
  auto link = find_symlink(parent, name);
  throw Error("cannot read `" + parent.path_of(name) + "`: " + (link ? "it is a symlink" : "not a directory"),
              link ? link->fix() : "");
}

RecordFile read_record_file(const Dir& dir, const std::string& name, std::size_t limit) {
  RecordFile file;
  auto st = dir.try_stat(name);
  file.absent = !st;
  if (!st) {
    file.wrong = "is missing";
  } else if (S_ISLNK(st->st_mode)) {
    file.wrong = "is a symlink";
    if (auto link = find_symlink(dir, name)) file.fix = link->fix();
  } else if (!S_ISREG(st->st_mode)) {
    file.wrong = "is no regular file";
  } else if (static_cast<std::uint64_t>(st->st_size) > limit) {
    file.wrong = "is larger than " + std::to_string(limit) + " bytes";
  } else {
    file.text = dir.read_seen(name, *st, limit);
  }
  return file;
}

RecordFile read_word(const Dir& dir, const std::string& name) {
  RecordFile file = read_record_file(dir, name, kWordLimit);
  if (!file.text) return file;
  constexpr const char* kSpace = " \t\r\n";
  std::size_t from = file.text->find_first_not_of(kSpace);
  std::size_t last = file.text->find_last_not_of(kSpace);
  file.text = from == std::string::npos ? "" : file.text->substr(from, last - from + 1);
  return file;
}

std::optional<Digest> parse_digest(std::string_view text) {
  if (!text.starts_with(kSha256) || !is_digest(text.substr(kSha256.size()))) return std::nullopt;
  return Digest(text.substr(kSha256.size()));
}

nlohmann::json parse_json(const std::string& text) { return drover::parse_json(as_utf8(text)); }

}  // namespace drover::store
