#include "migrate/layer_tree.hpp"

#include <algorithm>
#include <mutex>

#include "drivers/sys/error.hpp"
#include "migrate/run_tasks.hpp"

namespace drover {

namespace {

class TreeBuilder {
 public:
  explicit TreeBuilder(const LayerStore& store) : store_(store), inventory_(store.inventory) {
    tree_.driver = inventory_.driver;
    tree_.engine_running = store.engine_running;
    tree_.problems = inventory_.problems;
  }

  LayerTree build() {
    list_images();
    list_containers();
    rank_layers();
    place_layers();
    place_tops();
    tell_histories();
    add_up();
    return std::move(tree_);
  }

 private:
  void list_images() {
    for (const auto& [id, image] : inventory_.images) {
      if (!store_.shows(image)) continue;
      TreeImage shown;
      shown.id = id;
      shown.name = display_name(image);
      shown.references = image.references;
      tree_.images.push_back(std::move(shown));
    }
    sort_by_name(tree_.images);
  }

  void list_containers() {
    for (const auto& [id, container] : inventory_.containers) {
      TreeContainer shown;
      shown.id = id;
      shown.name = display_name(container);
      auto image = container.image ? inventory_.images.find(*container.image) : inventory_.images.end();
      if (image != inventory_.images.end())
        shown.image = display_name(image->second);
      else if (container.image)
        shown.image = short_id(*container.image);
      shown.mount_id = inventory_.mounts.at(id).mount_id;
      tree_.containers.push_back(std::move(shown));
    }
    sort_by_name(tree_.containers);
  }

  template <class T>
  static void sort_by_name(std::vector<T>& list) {
    std::sort(list.begin(), list.end(),
              [](const T& a, const T& b) { return std::tie(a.name, a.id) < std::tie(b.name, b.id); });
  }

  const std::optional<Digest>& top_of(const TreeImage& image) const {
    return inventory_.images.at(image.id).top;
  }
  const std::optional<Digest>& top_of(const TreeContainer& container) const {
    return inventory_.mounts.at(container.id).parent;
  }

  /// Layers come in the order of the first names that stand on them.
  void rank_layers() {
    auto rank = [&](const std::optional<Digest>& top) {
      for (const Digest& chain : store_.chain_of(top))
        if (!rank_.try_emplace(chain, rank_.size()).second) break;  // and so all below it
    };
    for (const TreeImage& image : tree_.images) rank(top_of(image));
    for (const TreeContainer& container : tree_.containers) rank(top_of(container));
    for (const auto& [chain, layer] : inventory_.layers) rank(chain);
  }

  void place_layers() {
    std::map<Digest, std::vector<Digest>> children;
    std::vector<Digest> next;
    for (const auto& [chain, layer] : inventory_.layers)
      (layer.parent ? children[*layer.parent] : next).push_back(chain);
    // The first to be taken is the last.
    auto last_first = [&](std::vector<Digest>& list) {
      std::sort(list.begin(), list.end(),
                [&](const Digest& a, const Digest& b) { return rank_.at(a) > rank_.at(b); });
    };
    auto users = users_of_layers(store_);
    last_first(next);
    while (!next.empty()) {
      const LayerRecord& record = inventory_.layers.at(next.back());
      next.pop_back();
      TreeLayer layer;
      layer.chain_id = record.chain_id;
      layer.cache_id = record.cache_id;
      layer.size_bytes = record.size_bytes;
      layer.users = std::move(users[record.chain_id]);
      std::size_t here = tree_.layers.size();
      if (record.parent) {
        layer.parent = place_.at(*record.parent);
        tree_.layers[*layer.parent].children.push_back(here);
      } else {
        tree_.roots.push_back(here);
      }
      place_.emplace(record.chain_id, here);
      tree_.layers.push_back(std::move(layer));
      std::vector<Digest>& above = children[record.chain_id];
      last_first(above);
      next.insert(next.end(), above.begin(), above.end());
    }
  }

  std::optional<std::size_t> place_of(const std::optional<Digest>& chain) const {
    auto found = chain ? place_.find(*chain) : place_.end();
    return found == place_.end() ? std::nullopt : std::optional(found->second);
  }

  void place_tops() {
    std::map<Digest, std::size_t> shown;
    for (std::size_t i = 0; i < tree_.images.size(); ++i) {
      TreeImage& image = tree_.images[i];
      shown.emplace(image.id, i);
      image.top = place_of(top_of(image));
      if (image.top) tree_.layers[*image.top].images.push_back(i);
      for (auto at = image.top; at; at = tree_.layers[*at].parent) {
        const TreeLayer& layer = tree_.layers[*at];
        ++image.layers;
        image.size_bytes += layer.size_bytes;
        if (layer.users.images.size() > 1) image.shared_bytes += layer.size_bytes;
      }
    }
    for (std::size_t i = 0; i < tree_.containers.size(); ++i) {
      TreeContainer& container = tree_.containers[i];
      container.parent = place_of(top_of(container));
      if (container.parent) tree_.layers[*container.parent].containers.push_back(i);
      for (auto at = container.parent; at; at = tree_.layers[*at].parent)
        container.image_bytes += tree_.layers[*at].size_bytes;
      const auto& image = inventory_.containers.at(container.id).image;
      auto found = image ? shown.find(*image) : shown.end();
      if (found != shown.end()) ++tree_.images[found->second].containers;
    }
  }

  /// Of several images on a layer the one tells of it that comes first by name and whose history fits.
  void tell_histories() {
    for (const TreeImage& image : tree_.images) {
      std::vector<std::size_t> untold;
      for (auto at = image.top; at; at = tree_.layers[*at].parent) untold.push_back(*at);
      if (std::all_of(untold.begin(), untold.end(),
                      [&](std::size_t at) { return tree_.layers[at].history.has_value(); }))
        continue;
      MatchedHistory history =
          match_history(read_history(store_.root, inventory_.driver, image.id), untold.size());
      for (std::size_t i = 0; i < untold.size(); ++i) {
        TreeLayer& layer = tree_.layers[untold[untold.size() - 1 - i]];
        if (!layer.history) layer.history = std::move(history.lines[i]);
      }
    }
  }

  void add_up() {
    std::set<LayerId> known;
    for (const TreeLayer& layer : tree_.layers) {
      tree_.layer_bytes += layer.size_bytes;
      if (layer.users.images.size() > 1) tree_.shared_bytes += layer.size_bytes;
      known.insert(layer.cache_id);
    }
    for (const auto& [name, mount] : inventory_.mounts) {
      known.insert(mount.mount_id);
      if (mount.init_id) known.insert(*mount.init_id);
    }
    for (const LayerId& id : store_.home->layers())
      if (!known.contains(id)) ++tree_.other_layers;
  }

  const LayerStore& store_;
  const Inventory& inventory_;
  LayerTree tree_;
  std::map<Digest, std::size_t> rank_, place_;
};

}  // namespace

LayerTree read_layer_tree(const LayerStore& store, unsigned threads, Progress& progress) {
  LayerTree tree = TreeBuilder(store).build();
  std::mutex mutex;
  std::size_t done = 0;
  std::vector<Task> tasks;
  for (TreeContainer& container : tree.containers)
    tasks.push_back({[&] {
                       const MountRecord& mount = store.inventory.mounts.at(container.id);
                       container.reading = try_layer_content(
                           store, {mount.mount_id, store.parent_of(mount), std::nullopt, false, false, 0});
                       if (container.reading.content) container.size_bytes = container.reading.content->bytes;
                       std::lock_guard lock(mutex);
                       progress.step("container " + container.name, ++done, tree.containers.size());
                     },
                     {}});
  progress.phase("reading the layers of " + std::to_string(tasks.size()) + " containers");
  run_tasks(tasks, threads);
  for (const TreeContainer& container : tree.containers) tree.container_bytes += container.size_bytes;
  return tree;
}

}  // namespace drover
