#include "migrate/layer_store.hpp"

#include "drivers/sys/error.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

/// How often a layer that changes while it is read is read again.
constexpr int kTries = 3;

/// The images that others say they were built from (by the builder before BuildKit).
std::set<Digest> read_parents(const Dir& root, const Inventory& inventory) {
  std::set<Digest> parents;
  std::optional<Dir> dir = store::records_dir(root, "image");
  for (std::string_view part : {driver_name(inventory.driver), std::string_view("imagedb"),
                                std::string_view("metadata"), std::string_view("sha256")})
    if (dir) dir = store::records_dir(*dir, part);
  if (!dir) return parents;
  for (const auto& [id, image] : inventory.images) {
    auto metadata = dir->try_sub(id);
    if (!metadata) continue;
    store::RecordFile file = store::read_word(*metadata, "parent");
    if (auto parent = file.text ? store::parse_digest(*file.text) : std::nullopt) parents.insert(*parent);
  }
  return parents;
}

}  // namespace

std::vector<Digest> LayerStore::chain_of(std::optional<Digest> top) const {
  std::vector<Digest> chain;
  while (top) {
    auto layer = inventory.layers.find(*top);
    if (layer == inventory.layers.end() || chain.size() > inventory.layers.size()) break;
    chain.push_back(*top);
    top = layer->second.parent;
  }
  return chain;
}

std::optional<LayerId> LayerStore::parent_of(const MountRecord& mount) const {
  if (mount.init_id) return mount.init_id;
  auto top = mount.parent ? inventory.layers.find(*mount.parent) : inventory.layers.end();
  return top == inventory.layers.end() ? std::nullopt : std::optional(top->second.cache_id);
}

LayerStore open_layer_store(const DataRoot& root, DriverKind driver, const HomeSettings& settings) {
  auto open = driver_entry(driver).open;
  if (!open)
    throw Error("drover cannot read the layers of " + std::string(driver_name(driver)) + " yet",
                "`drover info` lists the stores that are there");
  LayerStore store;
  store.root = Dir::open(root.path);
  store.engine_running = EngineLock::held(root.path);
  store.home = open(root.path + "/" + std::string(driver_name(driver)), settings);
  store.inventory = read_inventory(store.root, driver, store.home.get());
  for (const Digest& parent : read_parents(store.root, store.inventory)) {
    auto image = store.inventory.images.find(parent);
    if (image != store.inventory.images.end() && image->second.references.empty())
      store.intermediates.insert(parent);
  }
  return store;
}

std::map<Digest, LayerUsers> users_of_layers(const LayerStore& store, const std::string& but_not) {
  std::map<Digest, LayerUsers> users;
  for (const auto& [id, image] : store.inventory.images)
    if (id != but_not && store.shows(image))
      for (const Digest& chain : store.chain_of(image.top)) users[chain].images.insert(display_name(image));
  for (const auto& [id, container] : store.inventory.containers) {
    auto mount = store.inventory.mounts.find(id);
    if (id == but_not || mount == store.inventory.mounts.end()) continue;
    for (const Digest& chain : store.chain_of(mount->second.parent))
      users[chain].containers.insert(display_name(container));
  }
  return users;
}

LayerReading try_layer_content(const LayerStore& store, const ContentQuestion& question) {
  LayerReading reading;
  for (int left = store.engine_running ? kTries : 1; left > 0 && !reading.content; --left) {
    try {
      reading.content = read_layer_content(store.root, *store.home, question);
      reading.unreadable.clear();
    } catch (const Error& e) {
      if (!is_damage(e) && e.code() != ExitCode::in_use) throw;
      reading.unreadable = e.what();
    }
  }
  return reading;
}

}  // namespace drover
