#include "migrate/store_summary.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "drivers/repeated_inodes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/trail.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

/// The layers in a home. Drivers that drover does not open yet keep one entry a layer in a folder of their
/// own.
std::optional<std::vector<LayerId>> layers_in_home(const Dir& dir, const Driver* open,
                                                   const DriverEntry& entry) {
  std::string name(entry.name);
  if (open) return open->layers();
  std::optional<Dir> home = dir.try_sub(name);
  if (home && entry.kind == DriverKind::devicemapper) home = home->try_sub("metadata");
  if (entry.kind == DriverKind::zfs) return std::nullopt;  // its layers are datasets, outside of the home
  std::vector<LayerId> ids;
  if (home)
    for (const auto& e : home->list())
      if (is_layer_id(e.name)) ids.push_back(e.name);
  return ids;
}

std::set<LayerId> named_layers(const Inventory& inventory) {
  std::set<LayerId> named;
  for (const auto& [chain, layer] : inventory.layers) named.insert(layer.cache_id);
  for (const auto& [name, mount] : inventory.mounts) {
    named.insert(mount.mount_id);
    if (mount.init_id) named.insert(*mount.init_id);
  }
  return named;
}

void count_home(StoreSummary& store, const std::vector<LayerId>& ids, const Inventory& inventory) {
  std::set<LayerId> named = named_layers(inventory);
  store.build_cache = store.orphans = 0;
  for (const auto& id : ids)
    if (!named.contains(id)) ++*(is_build_id(id) ? store.build_cache : store.orphans);
}

/// How many containers name each driver.
using ContainerDrivers = std::map<std::string, std::uint64_t>;

ContainerDrivers container_drivers(const Dir& data_root) {
  ContainerDrivers drivers;
  for (const auto& [id, container] : store::read_containers(data_root).containers) {
    const DriverEntry* entry = find_driver(container.record.driver);
    ++drivers[entry ? std::string(entry->name) : container.record.driver];
  }
  return drivers;
}

void count_store(StoreSummary& store, const std::string& root, const HomeSettings& settings, const Dir& dir,
                 const DriverEntry& entry) {
  try {
    std::unique_ptr<Driver> home;
    if (entry.open) home = entry.open(root + "/" + store.driver, settings);
    Inventory inventory = read_inventory(dir, entry.kind, home.get());
    store.images = inventory.images.size();
    store.containers = inventory.containers.size();
    store.layers = inventory.layers.size();
    store.problems = std::move(inventory.problems);
    if (auto ids = layers_in_home(dir, home.get(), entry)) count_home(store, *ids, inventory);
  } catch (const SystemError&) {
    throw;
  } catch (const Error& e) {
    store.problems.push_back({e.what(), {}, true});
  }
}

bool is_active(const std::string& driver, const CurrentDriver& current) {
  return !current.containerd && driver == current.name;
}

}  // namespace

std::uint64_t disk_usage(const Dir& top) {
  struct Level {
    TrailDir dir;
    std::vector<DirEntry> entries;
    void let_go(const Level&) { dir.let_go(); }
    void reach_from(const Level& below) { dir.reach_from(below.dir); }
  };
  FirstNames names([&top] { return RepeatedInodes::read({&top}, RepeatedInodes::Mounts::passed_over); });
  std::uint64_t bytes = 0;
  Trail<Level> levels;
  levels.push({TrailDir(top.clone()), top.list()});
  while (!levels.empty()) {
    check_interrupted();
    Level& level = levels.back();
    if (level.entries.empty()) {
      levels.pop();
      continue;
    }
    std::string name = std::move(level.entries.back().name);
    level.entries.pop_back();
    auto stat = level.dir->try_stat(name);  // a running engine may have removed it
    if (!stat) continue;
    if (S_ISDIR(stat->st_mode)) {
      auto below = level.dir->try_sub_same_mount(name);
      if (!below) continue;
      auto entries = below->list();
      levels.push({TrailDir(std::move(*below)), std::move(entries)});
    } else if (!names.is_first(stat->st_dev, stat->st_ino, stat->st_nlink)) {
      continue;
    }
    bytes += static_cast<std::uint64_t>(stat->st_blocks) * 512;
  }
  return bytes;
}

std::string hidden_reason(const std::string& driver, const CurrentDriver& current,
                          const std::optional<EngineVersion>& engine) {
  const DriverEntry* entry = find_driver(driver);
  if (!entry) return "drover knows no engine with a driver of this name";
  auto list = priority_list(engine);
  bool in_engine = std::find(list.begin(), list.end(), entry->kind) != list.end();
  std::string version = engine ? "the installed engine " + engine->text : "a current engine";
  auto last = last_engine_with(entry->kind);
  std::string removed = last ? "; " + std::to_string(*last) + " was the last that had it" : "";
  if (!in_engine) return version + " has no " + driver + removed;
  if (is_active(driver, current)) return "";
  if (current.containerd) return "the engine keeps its images in containerd's store (" + current.source + ")";
  if (!current.kind && current.name.empty()) return current.source;
  std::string used = "the engine uses " + current.name + " (" + current.source + ")";
  if (entry->kind == DriverKind::vfs && current.source.find("prior") != std::string::npos)
    used += "; it never finds vfs by itself";
  return used;
}

std::vector<StoreSummary> summarize_stores(const DataRoot& root, const std::vector<std::string>& storage_opts,
                                           const CurrentDriver& current,
                                           const std::optional<EngineVersion>& engine, bool reflink,
                                           bool with_bytes) {
  std::vector<StoreSummary> stores;
  auto dir = Dir::try_open(root.path);
  if (!dir) return stores;
  ContainerDrivers of_containers = container_drivers(*dir);
  std::set<std::string> names;
  for (auto& name : stores_on_disk(*dir)) names.insert(std::move(name));
  for (DriverKind kind : current.homes) names.insert(std::string(driver_name(kind)));
  for (const auto& [name, count] : of_containers) names.insert(name);
  for (const auto& name : names) {
    StoreSummary store;
    store.driver = name;
    store.active = is_active(name, current);
    store.hidden_reason = hidden_reason(name, current, engine);
    if (const DriverEntry* entry = find_driver(name))
      count_store(store, root.path, {root.owner, storage_opts}, *dir, *entry);
    else if (auto found = of_containers.find(name); found != of_containers.end())
      store.containers = found->second;
    auto home = find_driver(name) ? dir->try_sub(name) : std::nullopt;
    if (with_bytes) store.bytes = home ? disk_usage(*home) : 0;
    store.bytes_shared = name == "btrfs" || (name == "vfs" && reflink);
    stores.push_back(std::move(store));
  }
  std::stable_partition(stores.begin(), stores.end(), [](const StoreSummary& s) { return s.active; });
  return stores;
}

}  // namespace drover
