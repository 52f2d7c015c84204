#include "migrate/layer_stack.hpp"

#include <mutex>

#include "drivers/sys/error.hpp"
#include "migrate/find_by_name.hpp"
#include "migrate/run_tasks.hpp"

namespace drover {

namespace {

WriteCost write_cost_of(const Driver& home) {
  if (home.writable_form() == LayerForm::delta) return WriteCost::whole_files;
  return home.layers_are_volumes() ? WriteCost::changed_blocks : WriteCost::nothing;
}

class StackBuilder {
 public:
  StackBuilder(const LayerStore& store, std::size_t listed) : store_(store), listed_(listed) {
    stack_.driver = store.inventory.driver;
    stack_.engine_running = store.engine_running;
    stack_.write_cost = write_cost_of(*store.home);
  }

  void add_container(const ContainerRecord& container) {
    stack_.is_container = true;
    stack_.id = container.id;
    stack_.name = display_name(container);
    users_ = users_of_layers(store_, container.id);
    auto image =
        container.image ? store_.inventory.images.find(*container.image) : store_.inventory.images.end();
    if (image != store_.inventory.images.end()) {
      stack_.image = image->first;
      stack_.references = image->second.references;
    }
    const MountRecord& mount = store_.inventory.mounts.at(container.id);
    add_own(mount.mount_id, LayerRole::writable, store_.parent_of(mount));
    MountRecord below = mount;
    below.init_id.reset();
    if (mount.init_id) add_own(*mount.init_id, LayerRole::init, store_.parent_of(below));
    add_image_layers(mount.parent);
  }

  void add_image(const ImageRecord& image) {
    stack_.id = image.id;
    stack_.name = display_name(image);
    stack_.references = image.references;
    stack_.image = image.id;
    users_ = users_of_layers(store_, image.id);
    add_image_layers(image.top);
  }

  LayerStack read(unsigned threads, Progress& progress) {
    std::mutex mutex;
    std::size_t done = 0;
    std::vector<Task> tasks;
    for (std::size_t i = 0; i < questions_.size(); ++i)
      tasks.push_back({[&, i] {
                         LayerReading reading = try_layer_content(store_, questions_[i]);
                         std::lock_guard lock(mutex);
                         StackLayer& layer = stack_.layers[i];
                         if (layer.role != LayerRole::image && reading.content)
                           layer.size_bytes = reading.content->bytes;
                         layer.reading = std::move(reading);
                         progress.step("layer " + short_id(layer.chain_id.value_or(layer.id)), ++done,
                                       questions_.size());
                       },
                       {}});
    progress.phase("reading " + std::to_string(tasks.size()) + " layers");
    run_tasks(tasks, threads);
    return std::move(stack_);
  }

 private:
  void add(StackLayer layer, std::optional<LayerId> parent, bool small_writes) {
    try {
      layer.place = store_.home->place_of(layer.id);
    } catch (const Error& e) {
      if (!is_damage(e)) throw;  // why it cannot be read is told with its content
    }
    questions_.push_back({layer.id, std::move(parent), layer.chain_id, true, small_writes, listed_});
    stack_.layers.push_back(std::move(layer));
  }

  void add_own(const LayerId& id, LayerRole role, std::optional<LayerId> parent) {
    StackLayer layer;
    layer.role = role;
    layer.id = id;
    add(std::move(layer), std::move(parent), role == LayerRole::writable);
  }

  void add_image_layers(const std::optional<Digest>& top) {
    std::vector<Digest> chain = store_.chain_of(top);
    MatchedHistory history = match_history(history_of(chain), chain.size());
    stack_.history_remark = history.remark;
    for (std::size_t i = 0; i < chain.size(); ++i) {
      const LayerRecord& record = store_.inventory.layers.at(chain[i]);
      StackLayer layer;
      layer.id = record.cache_id;
      layer.chain_id = record.chain_id;
      layer.size_bytes = record.size_bytes;
      layer.history = std::move(history.lines[chain.size() - 1 - i]);
      layer.shared_by = users_[chain[i]];
      std::optional<LayerId> parent;
      if (record.parent) parent = store_.inventory.layers.at(*record.parent).cache_id;
      add(std::move(layer), std::move(parent), false);
    }
  }

  /// Of the image itself; of a container whose image is gone, of any image with the same layers.
  std::vector<HistoryLine> history_of(const std::vector<Digest>& chain) const {
    std::optional<Digest> image = stack_.image;
    for (auto at = store_.inventory.images.begin(); !image && at != store_.inventory.images.end(); ++at)
      if (!chain.empty() && at->second.top == chain.front()) image = at->first;
    return image ? read_history(store_.root, store_.inventory.driver, *image) : std::vector<HistoryLine>();
  }

  const LayerStore& store_;
  std::size_t listed_;
  LayerStack stack_;
  std::map<Digest, LayerUsers> users_;
  std::vector<ContentQuestion> questions_;
};

}  // namespace

std::uint64_t LayerStack::size_bytes() const {
  std::uint64_t sum = 0;
  for (const StackLayer& layer : layers)
    if (layer.role != LayerRole::init) sum += layer.size_bytes;
  return sum;
}

LayerStack read_layer_stack(const LayerStore& store, const std::string& name, std::size_t listed,
                            unsigned threads, Progress& progress) {
  Subject subject = find_subject(store.inventory, name);
  StackBuilder builder(store, listed);
  if (subject.container)
    builder.add_container(store.inventory.containers.at(*subject.container));
  else
    builder.add_image(store.inventory.images.at(*subject.image));
  return builder.read(threads, progress);
}

}  // namespace drover
