#include "migrate/archive/archive_stream.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {
constexpr std::size_t kPart = 4 << 20;
constexpr std::size_t kListLimit = 64 << 20;
constexpr int kListVersion = 1;
}  // namespace

void ArchiveWriter::begin(const std::string& name, std::uint64_t size) {
  TarMember member;
  member.name = name;
  member.mode = 0644;
  member.size = size;
  to_(tar_headers(member));
  entries_.push_back({name, size, {}});
  written_ = 0;
}

void ArchiveWriter::write(std::string_view bytes) {
  sha256_.update(bytes);
  written_ += bytes.size();
  to_(bytes);
}

void ArchiveWriter::end() {
  ArchiveEntry& entry = entries_.back();
  if (written_ != entry.size)
    throw Error("`" + entry.name + "` became another size while it was read",
                "is something still using this data root?");
  entry.sha256 = sha256_.hex();
  to_(std::string(tar_padding(entry.size), '\0'));
}

void ArchiveWriter::add(const std::string& name, std::string_view content) {
  begin(name, content.size());
  write(content);
  end();
}

void ArchiveWriter::finish() {
  nlohmann::ordered_json list{{"version", kListVersion}, {"entries", nlohmann::ordered_json::array()}};
  for (const ArchiveEntry& entry : entries_)
    list["entries"].push_back({{"name", entry.name}, {"size", entry.size}, {"sha256", entry.sha256}});
  add(kArchiveList, list.dump() + "\n");
  to_(tar_end());
}

void PartWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t n = std::min(bytes.size(), kPart - part_.size());
    part_ += bytes.substr(0, n);
    bytes.remove_prefix(n);
    if (part_.size() == kPart) flush();
  }
}

void PartWriter::finish() {
  if (!part_.empty()) flush();
}

void PartWriter::flush() {
  archive_.add(part_name(prefix_, number_++), part_);
  part_.clear();
}

std::string part_name(const std::string& prefix, unsigned number) {
  char digits[16];
  std::snprintf(digits, sizeof digits, ".%06u", number);
  return prefix + digits;
}

const TarMember* ArchiveReader::current() {
  if (!has_member_) has_member_ = tar_.next(member_);
  return has_member_ ? &member_ : nullptr;
}

std::size_t ArchiveReader::read(char* to, std::size_t size) {
  std::size_t n = tar_.read(to, size);
  sha256_.update({to, n});
  return n;
}

std::string ArchiveReader::read_all(std::size_t limit) {
  std::string text = with_context("`" + printable(member_.name) + "`", [&] { return tar_.read_all(limit); });
  sha256_.update(text);
  return text;
}

std::string ArchiveReader::pass() {
  std::string block(std::clamp<std::uint64_t>(member_.size, 1, 64 << 10), '\0');
  while (read(block.data(), block.size()) > 0) {
  }
  // About what the list says of a member, and what is kept of a link.
  constexpr std::size_t kLeast = 100;
  listed_bytes_ += member_.name.size() + member_.target.size() + kLeast;
  if (listed_bytes_ > kListLimit)
    throw Error("it has more members, or longer names, than an archive may have");
  entries_.push_back({member_.name, member_.size, sha256_.hex()});
  has_member_ = false;
  return entries_.back().sha256;
}

void ArchiveReader::check_list() {
  std::string text = read_all(kListLimit);
  has_member_ = false;
  nlohmann::json list = store::parse_json(text);
  auto damaged = [](const std::string& why) { return Error("its list of members is damaged: " + why); };
  if (!list.is_object() || list.value("version", nlohmann::json()) != kListVersion)
    throw damaged("it is of another version");
  auto entries = list.find("entries");
  if (entries == list.end() || !entries->is_array() || entries->size() != entries_.size())
    throw damaged("it does not have as many members as came");
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const nlohmann::json& one = (*entries)[i];
    const ArchiveEntry& entry = entries_[i];
    if (one != nlohmann::json{{"name", entry.name}, {"size", entry.size}, {"sha256", entry.sha256}})
      throw Error("`" + printable(entry.name) + "` is not what the list of members says");
  }
  if (current()) throw Error("there is something behind its list of members");
  drain(source_);
}

std::size_t PartSource::read(char* to, std::size_t size) {
  for (;;) {
    const TarMember* member = archive_.current();
    if (!member || member->name != part_name(prefix_, number_)) return 0;
    if (std::size_t n = archive_.read(to, size)) return n;
    archive_.pass();
    ++number_;
  }
}

}  // namespace drover
