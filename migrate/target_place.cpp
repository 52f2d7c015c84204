#include "migrate/target_place.hpp"

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "migrate/foreign_entries.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store.hpp"
#include "migrate/target_root.hpp"

namespace drover {

namespace {

std::string name_of(DriverKind kind) { return std::string(driver_name(kind)); }

/// One with images in it is not ours to touch.
void refuse_full(const DataRoot& root, const Dir& dir, DriverKind to, const HomeSettings& settings) {
  auto home = driver_entry(to).open(root.path + "/" + name_of(to), settings);
  Inventory there = read_inventory(dir, to, nullptr);
  bool damaged = std::any_of(there.problems.begin(), there.problems.end(), [](auto& p) { return p.fatal; });
  bool image = !there.images.empty() || !there.layers.empty() || !there.mounts.empty() || damaged;
  if (image || !there.containers.empty() || !home->layers().empty())
    throw Error(
        "there is data of " + name_of(to) + " in `" + root.path + "` already: " +
            std::to_string(there.images.size()) + " images, " + std::to_string(there.containers.size()) +
            " containers, " + std::to_string(home->layers().size()) + " layers",
        home->layers_outside()
            ? "drover does not merge two stores: remove its images and containers with the engine, or have "
              "the layers made elsewhere (" +
                  name_of(to) + "'s storage-opts name the place)"
            : "drover does not merge two stores: remove its images and containers with the engine, or move "
              "`" +
                  root.path + "/" + name_of(to) + "` and `" + root.path + "/image/" + name_of(to) +
                  "` elsewhere");
}

void require_folder(const Dir& in, const std::string& name) {
  auto st = in.try_stat(name);
  if (!st || S_ISDIR(st->st_mode)) return;
  throw Error("`" + in.path_of(name) + "` is no folder but " +
                  (S_ISLNK(st->st_mode) ? "a symlink" : "a file") + ", and the new data would take its place",
              "move it elsewhere, then try again");
}

}  // namespace

std::vector<DriverKind> full_stores(const Dir& data_root) {
  std::vector<DriverKind> full;
  for (const std::string& name : stores_on_disk(data_root)) {
    const DriverEntry* entry = find_driver(name);
    if (!entry) continue;
    Inventory there = read_inventory(data_root, entry->kind, nullptr);
    if (!there.images.empty() || !there.layers.empty() || !there.containers.empty())
      full.push_back(entry->kind);
  }
  return full;
}

void require_free_target(const DataRoot& root, const Dir& dir, DriverKind to, const HomeSettings& settings) {
  std::string name = name_of(to);
  Dir image = dir.sub(kImage);
  require_folder(dir, name);
  require_folder(image, name);
  refuse_full(root, dir, to, settings);
  std::vector<std::string> foreign;
  if (auto home = dir.try_sub(name))
    foreign = foreign_in_empty_home(*home, *driver_entry(to).open(home->path(), settings));
  if (auto records = image.try_sub(name))
    for (std::string& path : foreign_in_records(*records)) foreign.push_back(std::move(path));
  if (foreign.empty()) return;
  throw Error("there is in the way what no engine with " + name + " has made: " + some_names(foreign),
              "move it elsewhere: `drover commit` would delete it with the empty store that it is in");
}

}  // namespace drover
