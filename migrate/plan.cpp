#include "migrate/plan.hpp"

#include <algorithm>
#include <set>

#include "drivers/sys/error.hpp"
#include "drivers/sys/size_text.hpp"

namespace drover {

namespace {

// What an entry takes besides its content: its name in a directory; an inode and an attribute block; a
// directory's first block.
constexpr std::uint64_t kNameBytes = 64, kInodeBytes = 512, kDirectoryBytes = 4096;
// What a driver makes beside a layer's own directory.
constexpr std::uint64_t kRenamedInodes = 8;
constexpr std::uint64_t kFixedSlack = 16 << 20;

/// Collects the layers that are to move, by ID, with all that they stand on.
class LayerCollector {
 public:
  LayerCollector(const Inventory& inventory, LayerForm form, const std::map<LayerId, LayerFacts>& facts)
      : inventory_(inventory), form_(form), facts_(facts) {}

  void collect() {
    for (const auto& [chain, layer] : inventory_.layers) {
      PlannedLayer& planned = add(layer.cache_id, LayerRole::image, parent_cache_id(layer.parent));
      if (!planned.chain_id) planned.chain_id = chain;
    }
    for (const auto& [name, mount] : inventory_.mounts) {
      // A record of a writable layer that is gone serves no container; the inventory told of the others.
      if (!facts_.contains(mount.mount_id) || (mount.init_id && !facts_.contains(*mount.init_id))) {
        if (inventory_.containers.contains(name))
          throw Error("the writable layer of container " + display_name(inventory_.containers.at(name)) +
                      " is missing in the driver's home");
        continue;
      }
      std::optional<LayerId> below = parent_cache_id(mount.parent);
      if (mount.init_id) below = add(*mount.init_id, LayerRole::init, below).id;
      add(mount.mount_id, LayerRole::writable, below);
    }
    // BuildKit keeps its own records of layers that no image has; it fails where one of them is gone.
    for (const auto& [id, fact] : facts_)
      if (!layers_.contains(id) && is_build_id(id)) add(id, LayerRole::build_cache, std::nullopt);
    follow_stacks();
  }

  std::map<LayerId, PlannedLayer> layers_;

 private:
  std::optional<LayerId> parent_cache_id(const std::optional<Digest>& chain) const {
    if (!chain) return std::nullopt;
    auto found = inventory_.layers.find(*chain);
    if (found == inventory_.layers.end()) return std::nullopt;
    return found->second.cache_id;
  }

  PlannedLayer& add(const LayerId& id, LayerRole role, std::optional<LayerId> parent) {
    auto [at, fresh] = layers_.try_emplace(id);
    if (!fresh) return at->second;
    const LayerFacts& facts = facts_of(id);
    at->second.id = id;
    at->second.role = role;
    // A driver of deltas says itself what a layer stands on, and that is what it shows.
    if (form_ == LayerForm::delta || !parent)
      at->second.parent = facts.stack.size() > 1 ? std::optional(facts.stack[1]) : std::nullopt;
    else
      at->second.parent = std::move(parent);
    return at->second;
  }

  const LayerFacts& facts_of(const LayerId& id) const {
    auto found = facts_.find(id);
    if (found == facts_.end()) throw Error("layer " + id + " is missing in the driver's home");
    return found->second;
  }

  void follow_stacks() {
    std::vector<LayerId> wanted;
    for (const auto& [id, layer] : layers_)
      for (const LayerId& below : facts_of(id).stack) wanted.push_back(below);
    for (const LayerId& id : wanted) add(id, LayerRole::build_cache, std::nullopt);
  }

  const Inventory& inventory_;
  LayerForm form_;
  const std::map<LayerId, LayerFacts>& facts_;
};

/// Parents before children; among those that are free to choose, by ID.
std::vector<PlannedLayer> in_order(std::map<LayerId, PlannedLayer> layers) {
  std::vector<PlannedLayer> ordered;
  std::multimap<LayerId, LayerId> children;
  std::vector<LayerId> ready;
  for (const auto& [id, layer] : layers) {
    if (layer.parent)
      children.emplace(*layer.parent, id);
    else
      ready.push_back(id);
  }
  for (std::size_t next = 0; next < ready.size(); ++next) {
    auto [begin, end] = children.equal_range(ready[next]);
    for (auto child = begin; child != end; ++child) ready.push_back(child->second);
    ordered.push_back(std::move(layers.at(ready[next])));
  }
  if (ordered.size() != layers.size())
    throw Error("the layers stand on each other in a circle, or on a layer that is missing");
  return ordered;
}

void mark_heads(std::map<LayerId, PlannedLayer>& layers, const Inventory& inventory) {
  std::set<LayerId> parents;
  for (const auto& [id, layer] : layers)
    if (layer.parent) parents.insert(*layer.parent);
  for (auto& [id, layer] : layers) layer.head = !parents.contains(id) || layer.role != LayerRole::image;
  auto serve = [&](const LayerId& id, const std::string& whom) {
    auto found = layers.find(id);
    if (found == layers.end()) return;
    found->second.head = true;
    found->second.serves.push_back(whom);
  };
  for (const auto& [id, image] : inventory.images) {
    if (!image.top) continue;
    auto top = inventory.layers.find(*image.top);
    if (top != inventory.layers.end()) serve(top->second.cache_id, "image " + display_name(image));
  }
  for (const auto& [id, container] : inventory.containers) {
    auto mount = inventory.mounts.find(id);
    if (mount == inventory.mounts.end()) continue;
    serve(mount->second.mount_id, "container " + display_name(container));
    if (mount->second.init_id) serve(*mount->second.init_id, "container " + display_name(container));
  }
}

void count_parts(Plan& plan, const Inventory& inventory) {
  plan.images = inventory.images.size();
  plan.tags = 0;
  for (const auto& [id, image] : inventory.images) plan.tags += image.references.size();
  plan.containers = inventory.containers.size();
}

LayerFacts sum(LayerFacts a, const LayerFacts& b) {
  a.bytes += b.bytes;
  a.entries += b.entries;
  a.directories += b.directories;
  return a;
}

LayerFacts difference(LayerFacts a, const LayerFacts& b) {
  a.bytes -= std::min(a.bytes, b.bytes);
  a.entries -= std::min(a.entries, b.entries);
  a.directories -= std::min(a.directories, b.directories);
  return a;
}

/// Adds up what the target will need, layer by layer; never less than what it will take.
class Estimate {
 public:
  Estimate(Plan& plan, const std::map<LayerId, LayerFacts>& facts, const TargetFacts& target)
      : plan_(plan), facts_(facts), target_(target) {
    plan.needed_bytes = kFixedSlack + target.record_bytes;
    plan.needed_inodes = 64 + target.record_inodes;
    for (const PlannedLayer& layer : plan.layers) add(layer);
  }

 private:
  void add(const PlannedLayer& layer) {
    const LayerFacts& own = facts_.at(layer.id);
    plan_.bytes += own.bytes;
    if (layer.renamed) {
      plan_.needed_bytes += kRenamedInodes * (kInodeBytes + kDirectoryBytes);
      if (layer.respelled) plan_.needed_bytes += own.entries * kNameBytes;
      plan_.needed_inodes += kRenamedInodes;
      return;
    }
    LayerFacts whole = own, changes = own;
    if (own.stack.size() > 1) {  // a delta
      auto below = whole_.find(own.stack[1]);
      if (below != whole_.end()) whole = sum(own, below->second);
    } else if (layer.parent) {
      changes = difference(own, whole_.at(*layer.parent));
    }
    LayerForm form = layer.immutable() ? target_.form : target_.writable_form;
    // Where a delta stands on a tree, it repeats the deltas between.
    if (form == LayerForm::delta && target_.form == LayerForm::tree && layer.parent)
      if (auto between = changes_.find(*layer.parent); between != changes_.end())
        changes = sum(changes, between->second);
    bool tree = form == LayerForm::tree && !target_.snapshots;
    if (tree && target_.shared_trees && layer.immutable() && layer.parent) {
      // All names, but inodes and content only of what is not the parent's.
      add_written(layer, changes);
      plan_.needed_bytes += whole.entries * kNameBytes + whole.directories * (kDirectoryBytes + kInodeBytes);
      plan_.needed_inodes += whole.directories;
    } else {
      add_written(layer, tree ? whole : changes);
    }
    whole_.emplace(layer.id, std::move(whole));
    if (!layer.immutable()) changes_.emplace(layer.id, std::move(changes));
  }

  void add_written(const PlannedLayer& layer, const LayerFacts& written) {
    bool linked = layer.immutable() && target_.links;
    std::uint64_t inodes = linked ? written.directories : written.entries;
    if (!linked && !target_.reflink) plan_.needed_bytes += written.bytes;
    plan_.needed_bytes +=
        written.entries * kNameBytes + inodes * kInodeBytes + written.directories * kDirectoryBytes;
    plan_.needed_inodes += inodes + 8;
  }

  Plan& plan_;
  const std::map<LayerId, LayerFacts>& facts_;
  const TargetFacts& target_;
  std::map<LayerId, LayerFacts> whole_;    // what a layer shows in all, as an upper bound
  std::map<LayerId, LayerFacts> changes_;  // what a layer that is no image's changes
};

Transfer transfer_of(const TargetFacts& target, bool immutable) {
  if (target.renames) return Transfer::renames;
  if (immutable && target.links && !target.snapshots) return Transfer::hard_links;
  if (target.reflink) return Transfer::reflinks;
  return Transfer::copies;
}

/// A copy is compared with what shows in the source, and that is what it stands on as well: so all below one
/// that is copied are copies, too.
void choose_renamed(Plan& plan, const std::map<LayerId, LayerFacts>& facts) {
  std::map<LayerId, PlannedLayer*> by_id;
  for (PlannedLayer& layer : plan.layers) {
    layer.renamed = facts.at(layer.id).not_renamed.empty();
    layer.respelled = layer.renamed && facts.at(layer.id).respelled;
    by_id.emplace(layer.id, &layer);
  }
  for (auto layer = plan.layers.rbegin(); layer != plan.layers.rend(); ++layer) {
    if (layer->renamed) continue;
    const std::string& why = facts.at(layer->id).not_renamed;
    if (!why.empty())
      plan.notes.push_back(describe(*layer) + " is copied with what it stands on, not renamed: " + why);
    for (const LayerId& below : facts.at(layer->id).stack)
      if (auto found = by_id.find(below); found != by_id.end())
        found->second->renamed = found->second->respelled = false;
  }
  plan.renamed = static_cast<std::size_t>(
      std::count_if(plan.layers.begin(), plan.layers.end(), [](auto& l) { return l.renamed; }));
}

/// The engine gives a container's limit to its init layer, too.
bool carry_size_limit(Plan& plan, const MountRecord& mount, const std::string& limit) {
  auto bytes = parse_size(limit);
  if (!bytes) return false;
  for (PlannedLayer& layer : plan.layers)
    if (layer.id == mount.mount_id || layer.id == mount.init_id) layer.size_limit = bytes;
  return true;
}

void carry_size_limits(Plan& plan, const Inventory& inventory, bool possible) {
  for (const auto& [id, container] : inventory.containers) {
    if (!container.size_limit) continue;
    auto mount = inventory.mounts.find(id);
    if (!possible || mount == inventory.mounts.end() ||
        !carry_size_limit(plan, mount->second, *container.size_limit))
      plan.notes.push_back("container " + display_name(container) + ": its size limit (" +
                           *container.size_limit + ") is not carried to " +
                           std::string(driver_name(plan.to)));
  }
}

/// Nothing where none comes along.
std::optional<std::string> build_cache_note(const Plan& plan) {
  auto cached = std::count_if(plan.layers.begin(), plan.layers.end(),
                              [](const PlannedLayer& layer) { return layer.role == LayerRole::build_cache; });
  if (cached == 0) return std::nullopt;
  return "the build cache comes along: " + std::to_string(cached) + " layers of its own keep their IDs";
}

void add_notes(Plan& plan, const Inventory& inventory, const std::map<LayerId, LayerFacts>& facts) {
  for (const PlannedLayer& layer : plan.layers)
    for (const std::string& remark : facts.at(layer.id).remarks)
      plan.notes.push_back(describe(layer) + ": " + remark);
  std::uint64_t guarded = 0;
  for (const PlannedLayer& layer : plan.layers)
    if (!layer.renamed) guarded += facts.at(layer.id).protected_entries;
  if (guarded > 0)
    plan.notes.push_back(
        std::to_string(guarded) +
        " files or folders are immutable or append-only (chattr +i, +a): these flags are not "
        "carried, and do not keep `drover commit` from deleting the old ones");
  if (!plan.orphans.empty())
    plan.notes.push_back(
        std::to_string(plan.orphans.size()) +
        " layers in the driver's home belong to no image and no container: they are left behind");
  if (!inventory.foreign_containers.empty())
    plan.notes.push_back(std::to_string(inventory.foreign_containers.size()) +
                         " containers are of another driver and stay as they are, hidden from the engine");
  for (const StoreProblem& problem : inventory.problems)
    if (!problem.fatal) plan.notes.push_back(problem.what);
  if (auto note = build_cache_note(plan)) plan.notes.push_back(std::move(*note));
}

}  // namespace

Plan make_plan(const Inventory& inventory, LayerForm source_form, const std::map<LayerId, LayerFacts>& facts,
               const TargetFacts& target) {
  Plan plan;
  plan.from = inventory.driver;
  plan.to = target.kind;
  LayerCollector collector(inventory, source_form, facts);
  collector.collect();
  mark_heads(collector.layers_, inventory);
  for (const auto& [id, fact] : facts)
    if (!collector.layers_.contains(id)) plan.orphans.push_back(id);
  plan.layers = in_order(std::move(collector.layers_));
  count_parts(plan, inventory);
  plan.links = target.links;
  if (target.renames) choose_renamed(plan, facts);
  plan.image_transfer = transfer_of(target, true);
  plan.container_transfer = transfer_of(target, false);
  plan.free_bytes = target.free_bytes;
  plan.free_inodes = target.free_inodes;
  plan.counts_inodes = target.counts_inodes;
  plan.place = target.place;
  Estimate(plan, facts, target);
  carry_size_limits(plan, inventory, target.size_limits);
  add_notes(plan, inventory, facts);
  return plan;
}

std::vector<LayerId> reduce_plan(Plan& plan, const Inventory& inventory,
                                 const std::map<LayerId, LayerFacts>& facts) {
  auto drop_notes = [&](const std::string& beginning) {
    std::erase_if(plan.notes, [&](const std::string& note) { return note.starts_with(beginning); });
  };
  auto cache_before = build_cache_note(plan);
  for (PlannedLayer layer : plan.layers)
    if (!facts.contains(layer.id)) {
      layer.serves.clear();  // a note may name more of them, or fewer
      drop_notes(describe(layer));
    }
  for (const auto& [part, what] : inventory.left)
    if (part.kind == Part::Kind::container) drop_notes("container " + what.name + ": ");
  std::erase_if(plan.layers, [&](const PlannedLayer& layer) { return !facts.contains(layer.id); });
  if (auto cache_now = build_cache_note(plan); cache_now != cache_before) {
    drop_notes(*cache_before);
    if (cache_now) plan.notes.push_back(std::move(*cache_now));
  }
  std::map<LayerId, PlannedLayer> layers;
  for (PlannedLayer layer : plan.layers) {
    layer.serves.clear();
    layers.emplace(layer.id, std::move(layer));
  }
  mark_heads(layers, inventory);
  std::vector<LayerId> heads;
  for (PlannedLayer& layer : plan.layers) {
    PlannedLayer& now = layers.at(layer.id);
    if (now.head && !layer.head) heads.push_back(layer.id);
    layer = std::move(now);
  }
  count_parts(plan, inventory);
  plan.renamed = static_cast<std::size_t>(
      std::count_if(plan.layers.begin(), plan.layers.end(), [](auto& l) { return l.renamed; }));
  return heads;
}

std::string describe(const PlannedLayer& layer) {
  std::string text;
  switch (layer.role) {
    case LayerRole::image:
      text = "image layer " + short_id(layer.chain_id.value_or(layer.id));
      break;
    case LayerRole::init:
      text = "init layer " + short_id(layer.id);
      break;
    case LayerRole::writable:
      text = "writable layer " + short_id(layer.id);
      break;
    case LayerRole::build_cache:
      text = "build cache layer " + layer.id;
      break;
  }
  if (!layer.serves.empty()) text += " of " + layer.serves.front();
  if (layer.serves.size() > 1) text += " and " + std::to_string(layer.serves.size() - 1) + " more";
  return text;
}

std::string_view transfer_name(Transfer transfer) {
  switch (transfer) {
    case Transfer::hard_links:
      return "hard links";
    case Transfer::reflinks:
      return "reflinks";
    case Transfer::copies:
      return "copies";
    case Transfer::renames:
      return "renames";
  }
  return "";
}

}  // namespace drover
