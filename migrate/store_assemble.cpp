#include <algorithm>
#include <iterator>
#include <set>

#include "drivers/sys/printable.hpp"
#include "migrate/slices.hpp"
#include "migrate/store_parts.hpp"

namespace drover::store {

namespace {

/// What is wrong with one layer, and who stands on it.
struct Fault {
  std::string what, fix;
  bool stops_engine = false;  ///< a cycle: dockerd 20.10 follows it until its memory ends
  bool visible = false;       ///< the engine shows one of those, or the user gave it a name
  enum class Rank { tagged, untagged, container };
  std::multiset<std::pair<Rank, std::string>> concerns;  ///< the first of them
  std::size_t concerned = 0;                             ///< all of them
  std::map<Part, std::string> parts;

  bool is_fatal() const { return visible || stops_engine; }
  void concern(Rank rank, const std::string& name) {
    concerns.emplace(rank, name);
    ++concerned;
    if (concerns.size() > kMostConcerned) concerns.erase(std::prev(concerns.end()));
  }
};

class Assembly {
 public:
  Assembly(DriverKind driver, LayerDb layers, ImageDb images, ContainerDb containers, const Driver* home)
      : db_(std::move(layers)), images_(std::move(images)), home_(home) {
    inventory_.driver = driver;
    for (auto& [id, entry] : containers.containers) {
      if (entry.dying) dying_.insert(id);
      if (entry.lacks_host_config) unconfigured_.insert(id);
      if (find_driver(entry.record.driver) == &driver_entry(driver))
        inventory_.containers.emplace(id, std::move(entry.record));
      else
        inventory_.foreign_containers.push_back(std::move(entry.record));
    }
    damaged_containers_ = std::move(containers.damaged);
  }

  Inventory run() {
    note_damaged_layers();
    note_missing_layers();
    note_cycles();
    note_wrong_chain_ids();
    note_cache_ids();
    find_unloadable();
    find_concerned();
    report_layers();
    report_images();
    report_mounts();
    report_containers();
    for (std::string& line : db_.leftovers) report({std::move(line)}, {}, false);
    keep_unloaded();
    return std::move(inventory_);
  }

 private:
  void report(Reason what, std::vector<std::string> concerns, bool fatal,
              std::map<Part, std::string> parts = {}) {
    inventory_.problems.push_back(
        {std::move(what.why), std::move(concerns), fatal, std::move(what.fix), std::move(parts)});
  }

  /// A layer has one fault: the first one found explains the others.
  void note(const Digest& chain_id, const std::string& what, bool stops_engine = false,
            const std::string& fix = {}) {
    faults_.try_emplace(
        chain_id, Fault{"layer " + short_id(chain_id) + " " + what, fix, stops_engine, false, {}, 0, {}});
  }

  void note_damaged_layers() {
    for (const auto& [chain_id, why] : db_.damaged_layers)
      note(chain_id, "cannot be used: " + why.why, false, why.fix);
  }

  void need_layer(const Digest& chain_id) {
    if (!db_.layers.contains(chain_id)) note(chain_id, "is missing from the records");
  }

  void note_missing_layers() {
    for (const auto& [chain_id, layer] : db_.layers)
      if (layer.parent) need_layer(*layer.parent);
    for (const auto& [id, chain] : images_.chains)
      for (const Digest& chain_id : chain) need_layer(chain_id);
    for (const auto& [name, mount] : db_.mounts)
      if (mount.parent && inventory_.containers.contains(name)) need_layer(*mount.parent);
  }

  const Digest* parent_of(const Digest& chain_id) const {
    auto layer = db_.layers.find(chain_id);
    return layer == db_.layers.end() || !layer->second.parent ? nullptr : &*layer->second.parent;
  }

  /// Each layer is walked over once: a walk that meets a layer of its own has closed a cycle.
  void note_cycles() {
    std::map<Digest, std::size_t> walk_of;
    std::size_t walk = 0;
    for (const auto& [start, layer] : db_.layers) {
      ++walk;
      const Digest* at = &start;
      while (at && walk_of.try_emplace(*at, walk).second) at = parent_of(*at);
      if (at && walk_of[*at] == walk) note(*at, "is its own ancestor", true);
    }
  }

  void note_wrong_chain_ids() {
    for (const auto& [chain_id, layer] : db_.layers)
      if (chain_id_of(layer.parent, layer.diff_id) != chain_id)
        note(chain_id, "does not have the chain ID that follows from its parent and diff ID");
  }

  struct Whereabouts {
    std::optional<Symlink> behind;
    bool there = true;
  };

  Whereabouts find_files(const LayerId& id) const {
    if (!home_ || home_->contains(id)) return {};
    auto link = home_->symlink_to(id);
    return {link, link.has_value()};
  }

  /// In the layers' order.
  std::vector<Whereabouts> find_files_of_layers() const {
    std::vector<const LayerId*> ids;
    for (const auto& [chain_id, layer] : db_.layers) ids.push_back(&layer.cache_id);
    std::vector<Whereabouts> all(ids.size());
    for_slices(ids.size(), [&](std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) all[i] = find_files(*ids[i]);
    });
    return all;
  }

  void note_cache_ids() {
    std::map<LayerId, Digest> owner_of;
    const std::vector<Whereabouts> files = find_files_of_layers();
    auto at = files.begin();
    for (const auto& [chain_id, layer] : db_.layers) {
      const Whereabouts& found = *at++;
      auto [owner, is_first] = owner_of.try_emplace(layer.cache_id, chain_id);
      if (!is_first)
        note(chain_id,
             "has the same cache ID as layer " + short_id(owner->second) + ", " + short_id(layer.cache_id));
      else if (found.behind)
        note(chain_id, "has its files behind a symlink, `" + found.behind->path + "`", false,
             found.behind->fix());
      else if (!found.there)
        note(chain_id,
             "has no files: the " + driver() + " home lacks its cache ID " + short_id(layer.cache_id));
    }
    for (auto& [id, owner] : owner_of) claimed_.emplace(id, "layer " + short_id(owner));
  }

  std::string driver() const { return std::string(driver_name(inventory_.driver)); }

  /// All layers from this one down, as far as the records go; each once, even where they form a cycle.
  std::vector<Digest> ancestry(const std::optional<Digest>& top) const {
    std::vector<Digest> chain;
    std::set<Digest> seen;
    for (const Digest* at = top ? &*top : nullptr; at && seen.insert(*at).second; at = parent_of(*at))
      chain.push_back(*at);
    return chain;
  }

  /// The layers that the engine does not load: no sound record, or on top of such a one.
  void find_unloadable() {
    std::map<Digest, std::vector<Digest>> children;
    for (const auto& [chain_id, layer] : db_.layers)
      if (layer.parent) children[*layer.parent].push_back(chain_id);
    for (auto& [chain_id, fault] : faults_) {
      fault.parts.emplace(Part{Part::Kind::layer, chain_id}, short_id(chain_id));
      if (fault.stops_engine || !db_.layers.contains(chain_id))
        drop({chain_id}, children, unloadable_, &fault.parts);
    }
    children_ = std::move(children);
  }

  static void drop(std::vector<Digest> next, const std::map<Digest, std::vector<Digest>>& children,
                   std::set<Digest>& dropped, std::map<Part, std::string>* parts = nullptr) {
    while (!next.empty()) {
      Digest chain_id = std::move(next.back());
      next.pop_back();
      if (!dropped.insert(chain_id).second) continue;
      if (parts) parts->emplace(Part{Part::Kind::layer, chain_id}, short_id(chain_id));
      if (auto found = children.find(chain_id); found != children.end())
        next.insert(next.end(), found->second.begin(), found->second.end());
    }
  }

  bool loads(const std::vector<Digest>& chain) const {
    return std::none_of(chain.begin(), chain.end(),
                        [&](const Digest& id) { return unloadable_.contains(id); });
  }

  /// Calls `f` for each image and container, with the faults among the layers that it stands on, lowest
  /// first. Who stands on which fault is not kept: it may be each on each.
  template <class F>
  void for_each_user(F f) {
    auto faults_in = [&](const auto& chain) {
      std::vector<Fault*> found;
      for (const Digest& chain_id : chain)
        if (auto fault = faults_.find(chain_id); fault != faults_.end()) found.push_back(&fault->second);
      return found;
    };
    for (const auto& [id, image] : images_.images) {
      const std::vector<Digest>& chain = images_.chains.at(id);
      bool tagged = !image.references.empty();
      f(Part{Part::Kind::image, id}, display_name(image),
        tagged ? Fault::Rank::tagged : Fault::Rank::untagged, tagged || loads(chain), faults_in(chain));
    }
    for (const auto& [id, container] : inventory_.containers)
      if (auto mount = db_.mounts.find(id); mount != db_.mounts.end()) {
        std::vector<Digest> chain = ancestry(mount->second.parent);
        std::reverse(chain.begin(), chain.end());
        f(Part{Part::Kind::container, id}, display_name(container), Fault::Rank::container, true,
          faults_in(chain));
      }
  }

  void find_concerned() {
    for_each_user([](const Part&, const std::string& name, Fault::Rank rank, bool visible,
                     const std::vector<Fault*>& faults) {
      for (Fault* fault : faults) {
        fault->concern(rank, name);
        fault->visible |= visible;
      }
    });
    for_each_user([](const Part& part, const std::string& name, Fault::Rank, bool,
                     const std::vector<Fault*>& faults) {
      auto fatal = std::find_if(faults.begin(), faults.end(), [](Fault* fault) { return fault->is_fatal(); });
      if (!faults.empty()) (fatal == faults.end() ? faults.front() : *fatal)->parts.emplace(part, name);
    });
  }

  void report_layers() {
    std::vector<Digest> unneeded;
    for (auto& [chain_id, fault] : faults_) {
      bool fatal = fault.is_fatal();
      std::vector<std::string> concerns;
      for (const auto& [rank, name] : fault.concerns) concerns.push_back(name);
      add_count_of_rest(concerns, fault.concerned);
      report({fault.what, fault.fix}, std::move(concerns), fatal, std::move(fault.parts));
      if (!fatal) unneeded.push_back(chain_id);
    }
    drop(std::move(unneeded), children_, unloadable_);
    for (auto& [chain_id, layer] : db_.layers)
      if (!unloadable_.contains(chain_id)) inventory_.layers.emplace(chain_id, std::move(layer));
  }

  std::vector<std::string> users_of(const Digest& image) const {
    std::vector<std::string> names;
    if (auto found = images_.references.find(image); found != images_.references.end())
      for (const std::string& reference : found->second) names.push_back(printable(reference));
    for (const auto& [id, container] : inventory_.containers)
      if (container.image == image) names.push_back(display_name(container));
    std::size_t all = names.size();
    names.resize(std::min(all, kMostConcerned));
    add_count_of_rest(names, all);
    return names;
  }

  void report_images() {
    if (images_.bad_repositories) report(*images_.bad_repositories, {}, true);
    for (const auto& [id, why] : images_.damaged_images) {
      std::vector<std::string> users = users_of(id);
      bool fatal = !users.empty();
      auto tags = images_.references.find(id);
      std::string name = tags == images_.references.end() ? short_id(id) : printable(tags->second.front());
      // Its containers are not parts of this: the engine shows and starts them without it.
      std::map<Part, std::string> parts;
      if (fatal) parts.emplace(Part{Part::Kind::image, id}, std::move(name));
      report({"image " + short_id(id) + " cannot be used: " + why.why, why.fix}, std::move(users), fatal,
             std::move(parts));
    }
    for (const auto& [id, references] : images_.references)
      if (!images_.images.contains(id) && !images_.damaged_images.contains(id))
        for (const std::string& reference : references)
          report({"`" + printable(reference) + "` names image " + short_id(id) + ", which is not there"}, {},
                 false, {{{Part::Kind::image, id}, printable(references.front())}});
    for (auto& [id, image] : images_.images)
      if (loads(images_.chains.at(id))) inventory_.images.emplace(id, std::move(image));
  }

  /// Empty, or why the files of this writable layer cannot be found.
  Reason mount_fault(const MountRecord& mount) {
    std::string name = "the writable layer of " + short_id(printable(mount.name));
    auto fault_of = [&](const LayerId& id) -> Reason {
      auto [owner, is_first] = claimed_.try_emplace(id, name);
      if (!is_first) return {"its files, " + short_id(id) + ", are also those of " + owner->second};
      const Whereabouts files = find_files(id);
      if (files.behind)
        return {"its files are behind a symlink, `" + files.behind->path + "`", files.behind->fix()};
      if (!files.there) return {"the " + driver() + " home lacks its files, " + id};
      return {};
    };
    Reason fault = fault_of(mount.mount_id);
    if (fault.why.empty() && mount.init_id) fault = fault_of(*mount.init_id);
    return fault;
  }

  /// A container that the engine was removing has perhaps lost its writable layer already.
  bool needs_mount(const std::string& name) const {
    return inventory_.containers.contains(name) && !dying_.contains(name);
  }

  void report_mounts() {
    Reasons damaged = db_.damaged_mounts;
    for (auto& [name, mount] : db_.mounts) {
      bool needed = needs_mount(name);
      // Without its image's layers the engine does not load it; who needs it is named with that layer.
      if (mount.parent && !inventory_.layers.contains(*mount.parent)) {
        if (!needed) damaged.emplace(name, Reason{"its image's layers are not there"});
        continue;
      }
      if (Reason fault = mount_fault(mount); !fault.why.empty()) {
        damaged.emplace(name, std::move(fault));
        if (!needed) continue;
      } else if (is_digest(name) && !inventory_.containers.contains(name) &&
                 !damaged_containers_.contains(name)) {
        report({"the writable layer of " + short_id(name) + " belongs to no container of " + driver()}, {},
               false);
      }
      inventory_.mounts.emplace(name, std::move(mount));
    }
    for (const auto& [name, why] : damaged) {
      auto owner = inventory_.containers.find(name);
      bool known = owner != inventory_.containers.end();
      report(
          {"the writable layer of " + short_id(printable(name)) + " cannot be used: " + why.why, why.fix},
          known ? std::vector{display_name(owner->second)} : std::vector<std::string>{}, needs_mount(name),
          {{{Part::Kind::container, name}, known ? display_name(owner->second) : short_id(printable(name))}});
    }
  }

  void report_containers() {
    for (const auto& [id, why] : damaged_containers_) {
      bool needed = db_.mounts.contains(id) || db_.damaged_mounts.contains(id);
      report({"container " + short_id(id) + " cannot be used: " + why.why, why.fix},
             needed ? std::vector{short_id(id)} : std::vector<std::string>{}, needed,
             {{{Part::Kind::container, id}, short_id(id)}});
    }
    std::erase_if(inventory_.containers, [&](const auto& item) {
      const auto& [id, container] = item;
      if (!db_.mounts.contains(id) && !db_.damaged_mounts.contains(id))
        report({"container " + short_id(id) + " has no writable layer in the records"},
               {display_name(container)}, !dying_.contains(id),
               {{{Part::Kind::container, id}, display_name(container)}});
      return !inventory_.mounts.contains(id);
    });
    for (const auto& [id, container] : inventory_.containers)
      if (unconfigured_.contains(id))
        report(
            {"container " + display_name(container) +
             " has no hostconfig.json: the engine starts it with default settings, without its volumes say"},
            {display_name(container)}, false);
  }

  /// What was taken out of the inventory, or never came in.
  void keep_unloaded() {
    auto keep = [&](const Part& part, const std::vector<LayerId>& files) {
      auto& known = inventory_.unloaded[part];
      known.insert(known.end(), files.begin(), files.end());
    };
    for (const auto& [chain_id, files] : db_.files_of_damaged_layers)
      keep({Part::Kind::layer, chain_id}, files);
    for (const auto& [chain_id, layer] : db_.layers)
      if (!inventory_.layers.contains(chain_id)) keep({Part::Kind::layer, chain_id}, {layer.cache_id});
    for (const auto& [name, files] : db_.files_of_damaged_mounts) keep(part_of_mount(name), files);
    for (const auto& [name, mount] : db_.mounts)
      if (!inventory_.mounts.contains(name)) keep(part_of_mount(name), files_of(mount));
  }

  LayerDb db_;
  ImageDb images_;
  const Driver* home_;
  Inventory inventory_;
  std::set<std::string> dying_, unconfigured_;
  Reasons damaged_containers_;
  std::map<Digest, Fault> faults_;
  std::set<Digest> unloadable_;
  std::map<Digest, std::vector<Digest>> children_;
  std::map<LayerId, std::string> claimed_;  ///< whose files an ID in the driver's home is
};

}  // namespace

Inventory assemble(DriverKind driver, LayerDb layers, ImageDb images, ContainerDb containers,
                   const Driver* home) {
  return Assembly(driver, std::move(layers), std::move(images), std::move(containers), home).run();
}

}  // namespace drover::store
