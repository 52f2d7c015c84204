#include "migrate/record_list.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

using nlohmann::json;

constexpr const char *kFolders = "folders", *kOfContainers = "containers", *kConfigFile = "config.v2.json";
/// "imagedb/content" and "layerdb/mounts" are folders of their own; what an engine has lies this deep at
/// most, as in "distribution/v2metadata-by-diffid/sha256/<digest>", and what lies deeper no engine has made.
constexpr int kOwnFolder = 2, kDeepest = 6;
constexpr std::uint64_t kMostBytes = 64 << 20;  ///< some 900,000 containers

struct FolderFacts {
  std::uint64_t files = 0;
  Sha256 names;
};
using Folders = std::map<std::string, FolderFacts>;

/// What the disk has lost has no size, and stays that.
template <class F>
auto unless_lost(F f) -> std::optional<decltype(f())> {
  try {
    return f();
  } catch (const Error& e) {
    if (!is_damage(e)) throw;
    return std::nullopt;
  }
}

void take_entries(const Dir& dir, const std::string& folder, const std::string& path, int depth,
                  Folders& folders) {
  auto entries = unless_lost([&] { return dir.list(); }).value_or(std::vector<DirEntry>{});
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const DirEntry& entry : entries) {
    const std::string at = path.empty() ? entry.name : path + "/" + entry.name;
    auto st = unless_lost([&] { return dir.stat(entry.name); });
    auto below = st && S_ISDIR(st->st_mode) ? unless_lost([&] { return dir.sub(entry.name); }) : std::nullopt;
    if (below) {
      if (depth < kDeepest) take_entries(*below, depth < kOwnFolder ? at : folder, at, depth + 1, folders);
      continue;
    }
    FolderFacts& facts = folders[folder];
    ++facts.files;
    facts.names.update(at + '\0' + (st ? std::to_string(st->st_size) : "?") + '\n');
  }
}

/// Keys are UTF-8: a record's name is, and what is not is no engine's.
json folders_of(const Dir& records) {
  Folders folders;
  take_entries(records, "", "", 0, folders);
  json found = json::object();
  for (auto& [name, facts] : folders)
    if (as_utf8(name) == name) found[name] = {{"files", facts.files}, {"names", facts.names.hex()}};
  return found;
}

bool is_whole_container(const Dir& containers, const std::string& id) {
  auto config = unless_lost([&] {
    auto folder = containers.try_sub(id);
    return folder ? folder->try_stat(kConfigFile) : std::nullopt;
  });
  return config && *config && (*config)->st_size > 0;
}

/// The number of an inode is used again; with the time when it was made, where the filesystem knows that, it
/// is one of its own.
std::string identity_of(const Dir& dir) {
  struct statx facts {};
  if (::statx(dir.fd(), "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &facts) != 0)
    throw_errno("cannot look at `" + dir.path() + "`");
  return std::to_string(facts.stx_ino) + " " + std::to_string(facts.stx_btime.tv_sec) + "." +
         std::to_string(facts.stx_btime.tv_nsec);
}

[[noreturn]] void refuse_list(const Dir& kept) {
  throw Error("`" + kept.path_of(kRecordList) + "` is damaged",
              "it says what records were put aside: restore it, or remove it to go on without");
}

}  // namespace

void write_records_inode(const Dir& kept, const Dir& records) {
  kept.write_atomic(kRecordsInode, identity_of(records), 0600);
}

std::optional<bool> were_put_in_place(const Dir& kept, const Dir& records) {
  auto known = kept.try_read(kRecordsInode, 64);
  if (!known) return std::nullopt;
  std::string now = identity_of(records);
  // An earlier drover has written down the number alone.
  return *known == (known->find(' ') == std::string::npos ? now.substr(0, now.find(' ')) : now);
}

void write_record_list(const Dir& kept, const Dir& records, const std::optional<Dir>& containers) {
  json list{{kFolders, folders_of(records)}, {kOfContainers, json::array()}};
  if (containers)
    for (const DirEntry& entry : containers->list())
      if (is_digest(entry.name) && is_whole_container(*containers, entry.name))
        list[kOfContainers].push_back(entry.name);
  kept.write_atomic(kRecordList, list.dump() + "\n", 0600);
}

std::optional<std::string> lost_record(const Dir& kept, const Dir& records,
                                       const std::optional<Dir>& containers) {
  if (!kept.exists(kRecordList)) return std::nullopt;
  store::RecordFile file = store::read_record_file(kept, kRecordList, kMostBytes);
  auto list = file.text ? try_parse_json(*file.text) : std::nullopt;
  if (!list || !list->is_object() || !list->contains(kFolders) || !list->contains(kOfContainers))
    refuse_list(kept);
  const json now = folders_of(records);
  for (const auto& [name, facts] : list->at(kFolders).items())
    if (auto found = now.find(name); found == now.end() || *found != facts)
      return "`" + printable(records.path_of(name)) +
             (found == now.end() ? "` is missing" : "` has other files than it had");
  for (const json& id : list->at(kOfContainers))
    if (!id.is_string() || !is_digest(id.get<std::string>()))
      refuse_list(kept);
    else if (containers && !is_whole_container(*containers, id.get<std::string>()))
      return "container " + short_id(id.get<std::string>()) + " is missing";
  return std::nullopt;
}

}  // namespace drover
