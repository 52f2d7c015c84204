#pragma once
// What the tests of renamed layers (`migrate --move`) do with their hosts.
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "tests/conformance/sample_host.hpp"

namespace drover::test {

inline std::unique_ptr<Driver> home_of(const SampleHost& host, DriverKind kind) {
  return driver_entry(kind).open(host.path(std::string(driver_name(kind))), {});
}

inline std::string time_of(const struct stat& st) {
  return std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
}

/// All that is on disk below a directory, one a line: of a mark what it is, of all else what makes it this
/// very inode.
inline void list_tree(const Dir& dir, const std::string& path, std::vector<std::string>& lines) {
  struct stat own = dir.stat();
  std::string line = path + "/ " + std::to_string(own.st_ino) + " " + time_of(own);
  for (const auto& [name, value] : dir.xattrs("")) line += " " + name + "=" + value;
  lines.push_back(line);
  for (const DirEntry& entry : dir.list()) {
    std::string below = path + "/" + entry.name;
    struct stat st = dir.stat(entry.name);
    bool mark =
        (S_ISCHR(st.st_mode) && st.st_rdev == 0) || (S_ISREG(st.st_mode) && entry.name.starts_with(".wh."));
    if (S_ISDIR(st.st_mode))
      list_tree(dir.sub(entry.name), below, lines);
    else
      lines.push_back(below + (mark ? " mark" : " " + std::to_string(st.st_ino) + " " + time_of(st)) + " " +
                      std::to_string(st.st_mode));
  }
}

inline std::string content_of(const Driver& home) {
  std::vector<std::string> lines;
  for (const LayerId& id : home.layers()) list_tree(home.open(id).root, id, lines);
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

/// A host whose data is under `from` already.
inline void bring_to(const SampleHost& host, DriverKind from) {
  if (from == DriverKind::overlay2) return;
  check_done(host.run({"migrate", "--to", std::string(driver_name(from)), "--yes", "--force"}));
  check_done(host.run({"commit", "--yes"}));
}

inline LayerId writable_of(const SampleHost& host, DriverKind kind) {
  return read_inventory(Dir::open(host.root()), kind, nullptr).mounts.begin()->second.mount_id;
}

inline std::vector<std::string> move_to(DriverKind to, std::vector<std::string> more = {}) {
  std::vector<std::string> words{"migrate", "--to",  std::string(driver_name(to)),
                                 "--move",  "--yes", "--force"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// The one that is named sample-app:slim.
inline const ImageRecord& slim_image(const Inventory& inventory) {
  for (const auto& [id, image] : inventory.images)
    if (has(display_name(image), "slim")) return image;
  throw std::logic_error("the sample root has no slim image");
}

/// A migration that is cut where all is staged, before the switch.
inline void stage_only(const SampleHost& host, const std::vector<std::string>& words) {
  auto kill_at = [](const std::string& line) {
    if (has(line, "switching to")) ::_exit(9);
  };
  REQUIRE(host.run_apart(words, kill_at) == "killed");
}

/// As the engine does: the layers, then the records.
inline void remove_container(const SampleHost& host, DriverKind kind) {
  Inventory now = read_inventory(Dir::open(host.root()), kind, nullptr);
  std::string container = now.containers.begin()->first;
  MountRecord mount = now.mounts.begin()->second;
  auto home = home_of(host, kind);
  for (const LayerId& id : files_of(mount)) home->remove(id);
  Dir::open(host.path("image/" + std::string(driver_name(kind)) + "/layerdb/mounts")).remove_tree(container);
  Dir::open(host.path("containers")).remove_tree(container);
}

/// As the engine does, all of them: the layers, then the records.
inline void remove_images(const SampleHost& host, DriverKind kind) {
  Inventory now = read_inventory(Dir::open(host.root()), kind, nullptr);
  Dir records = Dir::open(host.path("image/" + std::string(driver_name(kind))));
  auto home = home_of(host, kind);
  for (const auto& [chain, layer] : now.layers) home->remove(layer.cache_id);
  for (const char* removed : {"layerdb/sha256", "imagedb/content/sha256", "imagedb/metadata/sha256"})
    records.walk(removed).clear();
  records.write_atomic("repositories.json", "{\"Repositories\":{}}", 0600, 0, 0);
}

}  // namespace drover::test
