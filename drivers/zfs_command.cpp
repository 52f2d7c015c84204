#include "drivers/zfs_command.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

constexpr std::size_t kLongestName = 255;  // ZFS_MAX_DATASET_NAME_LEN without its final zero byte
constexpr const char* kUnset = "-";        // what a property without a value is printed as
constexpr const char* kListColumns = "name,guid,origin,snapdir";

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// The lines of an output, each with exactly this many fields.
std::vector<std::vector<std::string_view>> rows(std::string_view output, std::size_t fields) {
  std::vector<std::vector<std::string_view>> found;
  for (std::string_view line : split(output, '\n')) {
    if (line.empty()) continue;
    auto row = split(line, '\t');
    if (row.size() != fields)
      throw Error("zfs printed a line that cannot be understood: `" + printable(line) + "`");
    found.push_back(std::move(row));
  }
  return found;
}

const std::string& checked(const std::string& filesystem) {
  if (!is_dataset_name(filesystem))
    throw Error("`" + printable(filesystem) + "` is no name of a zfs filesystem");
  return filesystem;
}

ProcessResult run_zfs(const std::vector<std::string>& arguments) {
  auto program = find_program("zfs");
  if (!program) throw Error("the program zfs is not installed", "apt-get install zfsutils-linux");
  std::vector<std::string> argv{*program};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return run_process(argv);
}

[[noreturn]] void fail(const std::vector<std::string>& arguments, const ProcessResult& result) {
  std::string said = printable(std::string_view(result.err).substr(0, result.err.find('\n')));
  throw Error("`zfs " + arguments.front() + " " + printable(arguments.back()) +
              "` failed: " + (said.empty() ? "exit status " + std::to_string(result.exit_code) : said));
}

std::string require(const std::vector<std::string>& arguments) {
  ProcessResult result = run_zfs(arguments);
  if (result.exit_code != 0) fail(arguments, result);
  return std::move(result.out);
}

/// The output of a list, or nothing where the filesystem that it is about does not exist.
std::optional<std::string> list_if_exists(const std::vector<std::string>& arguments) {
  ProcessResult result = run_zfs(arguments);
  if (result.exit_code == 0) return std::move(result.out);
  if (result.err.find("dataset does not exist") != std::string::npos ||
      result.err.find("no such pool") != std::string::npos)
    return std::nullopt;
  fail(arguments, result);
}

void add_properties(std::vector<std::string>& arguments, const ZfsProperties& properties) {
  for (const auto& [name, value] : properties) {
    arguments.emplace_back("-o");
    arguments.push_back(name + "=" + value);
  }
}

std::optional<std::vector<ZfsFilesystem>> children_of_types(const std::string& parent, const char* types) {
  auto output =
      list_if_exists({"list", "-H", "-p", "-d", "1", "-t", types, "-o", kListColumns, checked(parent)});
  if (!output) return std::nullopt;
  auto found = parse_zfs_list(*output);
  std::erase_if(found, [&](const ZfsFilesystem& f) { return f.name == parent; });
  return found;
}

/// The engine's name for a snapshot between two layers: the nanoseconds of the clock (moby zfs.go).
std::string snapshot_name() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() % 1'000'000'000);
}

/// Children of one parent are made by several threads, and may meet in a name.
std::string take_snapshot(const std::string& filesystem) {
  constexpr int kTries = 16;
  std::vector<std::string> arguments{"snapshot", ""};
  ProcessResult result;
  for (int i = 0; i < kTries; ++i) {
    arguments.back() = filesystem + "@" + snapshot_name();
    result = run_zfs(arguments);
    if (result.exit_code == 0) return arguments.back();
    if (result.err.find("dataset already exists") == std::string::npos) break;
  }
  fail(arguments, result);
}

}  // namespace

bool is_dataset_name(std::string_view text) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr std::string_view kOthers = "0123456789_-.: ";
  if (text.empty() || text.size() > kLongestName || kLetters.find(text.front()) == std::string_view::npos)
    return false;
  auto allowed = [&](char c) {
    return kLetters.find(c) != std::string_view::npos || kOthers.find(c) != std::string_view::npos;
  };
  auto components = split(text, '/');
  return std::all_of(components.begin(), components.end(), [&](std::string_view part) {
    return !part.empty() && part != "." && part != ".." && std::all_of(part.begin(), part.end(), allowed);
  });
}

std::vector<ZfsFilesystem> parse_zfs_list(std::string_view output) {
  std::vector<ZfsFilesystem> found;
  for (const auto& row : rows(output, 4)) {
    ZfsFilesystem filesystem{std::string(row[0]), std::string(row[1]), std::string(row[2]),
                             row[3] == "visible"};
    if (filesystem.origin == kUnset) filesystem.origin.clear();
    bool is_number = !row[1].empty() && row[1].find_first_not_of("0123456789") == std::string_view::npos;
    if (!is_dataset_name(filesystem.name) || !is_number)
      throw Error("zfs listed a filesystem that cannot be: `" + printable(filesystem.name) + "`");
    found.push_back(std::move(filesystem));
  }
  return found;
}

std::optional<std::vector<ZfsFilesystem>> zfs_children(const std::string& parent) {
  return children_of_types(parent, "filesystem");
}

std::vector<ZfsFilesystem> zfs_all_in(const std::string& pool) {
  return parse_zfs_list(
      require({"list", "-H", "-p", "-r", "-t", "filesystem,volume", "-o", kListColumns, checked(pool)}));
}

bool zfs_exists(const std::string& filesystem) {
  return list_if_exists({"list", "-H", "-t", "filesystem", "-o", "name", checked(filesystem)}).has_value();
}

std::vector<std::string> zfs_properties(const std::string& filesystem,
                                        const std::vector<std::string>& names) {
  std::string columns;
  for (const std::string& name : names) columns += (columns.empty() ? "" : ",") + name;
  std::string output = require({"list", "-H", "-p", "-t", "filesystem", "-o", columns, checked(filesystem)});
  auto table = rows(output, names.size());  // parts of the output
  if (table.size() != 1) throw Error("zfs did not list `" + filesystem + "` alone");
  return {table[0].begin(), table[0].end()};
}

std::uint64_t zfs_available(const std::string& filesystem) {
  std::string text = zfs_properties(filesystem, {"available"})[0];
  std::uint64_t bytes = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error("zfs does not tell the space available in `" + filesystem + "`");
  return bytes;
}

std::vector<ZfsSetting> zfs_own_settings(const std::string& parent) {
  std::string output = require({"get", "-H", "-p", "-d", "1", "-t", "filesystem", "-s", "local,received",
                                "-o", "name,property,value", "all", checked(parent)});
  std::vector<ZfsSetting> settings;
  // A value may be of several lines; only their first ones begin with a name of a filesystem and a property.
  for (std::string_view line : split(output, '\n')) {
    auto fields = split(line, '\t');
    if (fields.size() < 3 || !is_dataset_name(fields[0]) || fields[0] == parent) continue;
    settings.push_back({std::string(fields[0]), std::string(fields[1]), std::string(fields[2])});
  }
  return settings;
}

void zfs_create(const std::string& filesystem, const ZfsProperties& properties) {
  std::vector<std::string> arguments{"create"};
  add_properties(arguments, properties);
  arguments.push_back(checked(filesystem));
  require(arguments);
}

void zfs_clone(const std::string& parent, const std::string& filesystem, const ZfsProperties& properties) {
  std::string snapshot = take_snapshot(checked(parent));
  std::vector<std::string> arguments{"clone"};
  add_properties(arguments, properties);
  arguments.push_back(snapshot);
  arguments.push_back(checked(filesystem));
  ProcessResult result = run_zfs(arguments);
  require({"destroy", "-d", snapshot});
  if (result.exit_code != 0) fail(arguments, result);
}

void zfs_set(const std::string& filesystem, const std::string& property, const std::string& value) {
  require({"set", property + "=" + value, checked(filesystem)});
}

void zfs_rename(const std::string& from, const std::string& to) {
  require({"rename", checked(from), checked(to)});
}

void zfs_destroy(const std::string& filesystem) {
  // -r would take along what somebody has made below it.
  if (auto below = children_of_types(filesystem, "filesystem,volume"); below && !below->empty())
    throw Error("`" + filesystem + "` has `" + below->front().name + "` below it, which is not the engine's",
                "move that elsewhere: zfs rename '" + below->front().name + "' POOL/NAME");
  require({"destroy", "-r", checked(filesystem)});
}

void zfs_defer_snapshots(const std::string& filesystem) {
  std::string output =
      require({"list", "-H", "-p", "-r", "-t", "snapshot", "-o", "name,defer_destroy", checked(filesystem)});
  for (const auto& row : rows(output, 2)) {
    std::string name(row[0]);
    if (name.starts_with(filesystem + "@")) continue;
    if (!name.starts_with(filesystem + "/") || !is_dataset_name(name.substr(0, name.find('@'))))
      throw Error("zfs listed a snapshot that cannot be: `" + printable(name) + "`");
    if (row[1] == "off") require({"destroy", "-d", name});
  }
}

}  // namespace drover
