#include "migrate/left_behind.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <deque>
#include <set>
#include <unordered_set>

#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/stage_records.hpp"

namespace drover {

namespace {

const Part kBuildCache{Part::Kind::build_cache, ""};

std::string name_of_mount(const Inventory& inventory, const std::string& name) {
  auto container = inventory.containers.find(name);
  if (container != inventory.containers.end()) return display_name(container->second);
  return is_digest(name) ? short_id(name) : "";
}

/// Of a name alone, behind which nothing is: a tag, or the build cache's records.
bool is_of_a_name(const StoreProblem& problem) {
  return !problem.parts.empty() &&
         std::all_of(problem.parts.begin(), problem.parts.end(), [](const auto& one) {
           return one.first.kind == Part::Kind::image || one.first.kind == Part::Kind::build_cache;
         });
}

/// What belongs to what, and what stands on what; then the damage spreads from layer to layer.
class LeaveTaking {
 public:
  LeaveTaking(Inventory& inventory, FactsOfLayers& facts)
      : inventory_(inventory), facts_(facts), owners_(inventory) {
    for (const auto& [chain, layer] : inventory.layers) {
      claims_.emplace(layer.cache_id, Claim{{Part::Kind::layer, chain}, short_id(chain)});
      if (layer.parent) stands_on(layer.cache_id, *layer.parent);
    }
    for (const auto& [name, mount] : inventory.mounts)
      for (const LayerId& id : files_of(mount)) {
        claims_.emplace(id, Claim{part_of_mount(name), name_of_mount(inventory, name)});
        if (mount.parent) stands_on(id, *mount.parent);
      }
    for (const auto& [id, fact] : facts)
      for (std::size_t i = 1; i < fact.stack.size(); ++i) above_.emplace(fact.stack[i], id);
  }

  void leave(const std::vector<StoreProblem>& damage) {
    for (const StoreProblem& problem : damage)
      if (problem.fatal || is_of_a_name(problem))
        for (const auto& [part, name] : problem.parts) take(part, name, problem.what);
    spread();
    // What the survey could not read has no facts, though nothing needs it.
    for (const auto& [chain, layer] : inventory_.layers)
      if (!facts_.contains(layer.cache_id) && !lost_.contains(layer.cache_id))
        take({Part::Kind::layer, chain}, short_id(chain), "its files cannot be read");
    spread();
    for (const auto& [id, image] : inventory_.images)
      if (auto top =
              image.top ? inventory_.left.find({Part::Kind::layer, *image.top}) : inventory_.left.end();
          top != inventory_.left.end())
        take({Part::Kind::image, id}, display_name(image), top->second.why);
    if (auto cache = inventory_.left.find(kBuildCache); cache != inventory_.left.end())
      add_build_cache(cache->second);
    forget();
  }

 private:
  void stands_on(const LayerId& id, const Digest& parent) {
    auto below = inventory_.layers.find(parent);
    if (below != inventory_.layers.end() && below->second.cache_id != id)
      above_.emplace(below->second.cache_id, id);
  }

  struct Claim {
    Part part;
    std::string name;
  };

  /// With all whose records name the same layers, which may lead from each to the next without end.
  void take(const Part& part, const std::string& name, const std::string& why) {
    claimants_.push_back({part, name});
    take_claimants(why);
  }

  void take_claimants(const std::string& why) {
    while (!claimants_.empty()) {
      Claim claim = std::move(claimants_.front());
      claimants_.pop_front();
      auto [left, fresh] = inventory_.left.try_emplace(claim.part, LeftPart{claim.name, why, {}});
      if (fresh) lose_files(claim.part, left->second);
    }
  }

  void lose_files(const Part& part, LeftPart& left) {
    if (part.kind == Part::Kind::layer) {
      if (auto layer = inventory_.layers.find(part.id); layer != inventory_.layers.end())
        lose(layer->second.cache_id, left);
    } else if (part.kind == Part::Kind::container) {
      if (auto mount = inventory_.mounts.find(part.id); mount != inventory_.mounts.end())
        for (const LayerId& id : files_of(mount->second)) lose(id, left);
    }
  }

  void lose(const LayerId& id, LeftPart& part) {
    part.files.push_back(id);
    if (lost_.insert(id).second) spreading_.emplace_back(id, part.why);
    find_claimants(id);
  }

  /// Where several records name one layer nobody can say whose it is: none of them is passed off as good.
  void find_claimants(const LayerId& id) {
    if (!asked_.insert(id).second) return;  // each of them would ask for all of them
    auto [begin, end] = claims_.equal_range(id);
    for (auto at = begin; at != end; ++at) claimants_.push_back(at->second);
  }

  void spread() {
    // What a layer stands on by its driver's word, and is not in the home.
    for (const auto& [below, id] : above_)
      if (!facts_.contains(below) && !lost_.contains(below) && lost_.insert(below).second)
        spreading_.emplace_back(below, "layer " + short_id(below) + " is missing in the driver's home");
    while (!spreading_.empty()) {
      auto [id, why] = std::move(spreading_.front());
      spreading_.pop_front();
      auto [begin, end] = above_.equal_range(id);
      for (auto at = begin; at != end; ++at) lose_with_owner(at->second, why);
    }
  }

  void lose_with_owner(const LayerId& id, const std::string& why) {
    find_claimants(id);
    take_claimants(why);
    for (const auto& [part, name] : owners_.of(id)) take(part, name, why);
    if (lost_.insert(id).second) spreading_.emplace_back(id, why);
  }

  /// BuildKit's own layers, as far as nothing that stays stands on them.
  void add_build_cache(LeftPart& cache) {
    std::set<LayerId> needed;
    for (const auto& [id, owner] : owners_.named())
      if (owner.first != kBuildCache && !lost_.contains(id)) {
        needed.insert(id);
        if (auto fact = facts_.find(id); fact != facts_.end())
          needed.insert(fact->second.stack.begin(), fact->second.stack.end());
      }
    for (const auto& [id, fact] : facts_)
      if (owners_.of(id).contains(kBuildCache) && !needed.contains(id)) cache.files.push_back(id);
  }

  void forget() {
    const LeftBehind& left = inventory_.left;
    auto forget_in = [&](auto& records, Part::Kind kind) {
      std::erase_if(records, [&](const auto& item) { return left.contains({kind, item.first}); });
    };
    std::erase_if(inventory_.mounts,
                  [&](const auto& item) { return left.contains(part_of_mount(item.first)); });
    forget_in(inventory_.layers, Part::Kind::layer);
    forget_in(inventory_.images, Part::Kind::image);
    forget_in(inventory_.containers, Part::Kind::container);
    std::erase_if(inventory_.foreign_containers, [&](const auto& one) {
      return left.contains({Part::Kind::container, one.id});
    });
    add_unloaded();
    for (const auto& [part, what] : left)
      for (const LayerId& id : what.files) facts_.erase(id);
  }

  /// What damaged records name, unless it is of use to what stays, whose record may name it, too.
  void add_unloaded() {
    LayerOwners staying(inventory_);
    bool cache_stays = !inventory_.left.contains(kBuildCache);
    std::set<LayerId> needed;
    for (const auto& [id, fact] : facts_)
      if (staying.named().contains(id) || (cache_stays && is_build_id(id))) {
        needed.insert(id);
        needed.insert(fact.stack.begin(), fact.stack.end());
      }
    for (auto& [part, what] : inventory_.left)
      if (auto unloaded = inventory_.unloaded.find(part); unloaded != inventory_.unloaded.end())
        for (const LayerId& id : unloaded->second)
          if (!needed.contains(id) && std::find(what.files.begin(), what.files.end(), id) == what.files.end())
            what.files.push_back(id);
  }

  Inventory& inventory_;
  FactsOfLayers& facts_;
  const LayerOwners owners_;
  std::multimap<LayerId, Claim> claims_;  ///< which records name a layer
  std::deque<Claim> claimants_;           ///< to be taken
  std::set<LayerId> asked_;               ///< whose claimants were found
  std::multimap<LayerId, LayerId> above_;
  std::set<LayerId> lost_;
  std::deque<std::pair<LayerId, std::string>> spreading_;
};

/// Whether a file has one of these IDs in it, wherever that begins: a database has no other bytes between.
bool names_one_of(const Fd& file, const std::string& path, const std::unordered_set<std::string>& ids,
                  const std::set<std::size_t>& lengths) {
  constexpr std::size_t kChunk = 1 << 20;
  std::string run, chunk(kChunk, '\0');
  auto ends_with_one = [&] {
    return std::any_of(lengths.begin(), lengths.end(), [&](std::size_t length) {
      return run.size() >= length && ids.contains(run.substr(run.size() - length));
    });
  };
  for (;;) {
    check_interrupted();
    ssize_t got = ::read(file.get(), chunk.data(), chunk.size());
    if (got < 0) throw_errno("cannot read `" + path + "`");
    if (got == 0) return false;
    for (char c : std::string_view(chunk.data(), static_cast<std::size_t>(got))) {
      if (!std::islower(static_cast<unsigned char>(c)) && !std::isdigit(static_cast<unsigned char>(c))) {
        run.clear();
        continue;
      }
      run.push_back(c);
      if (run.size() > 2 * *lengths.rbegin()) run.erase(0, *lengths.rbegin());
      if (ends_with_one()) return true;
    }
  }
}

StoreProblem build_cache_problem(const std::string& what) {
  return {what, {}, false, {}, {{kBuildCache, ""}}};
}

}  // namespace

void leave_behind(Inventory& inventory, FactsOfLayers& facts, const std::vector<StoreProblem>& damage) {
  LeaveTaking(inventory, facts).leave(damage);
}

LayerOwners::LayerOwners(const Inventory& inventory) {
  for (const auto& [chain, layer] : inventory.layers)
    named_.try_emplace(layer.cache_id, Part{Part::Kind::layer, chain}, short_id(chain));
  for (const auto& [name, mount] : inventory.mounts)
    for (const LayerId& id : files_of(mount))
      named_.try_emplace(id, part_of_mount(name), name_of_mount(inventory, name));
}

std::map<Part, std::string> LayerOwners::of(const LayerId& id) const {
  if (auto found = named_.find(id); found != named_.end()) return {found->second};
  if (is_build_id(id)) return {{kBuildCache, ""}};
  return {};
}

std::vector<StoreProblem> build_cache_problems(const Dir& data_root, const LeftBehind& left) {
  std::unordered_set<std::string> ids;
  std::set<std::size_t> lengths;
  for (const auto& [part, what] : left) {
    if (part.kind == Part::Kind::layer) ids.insert(part.id);
    if (part.kind == Part::Kind::layer) ids.insert(what.files.begin(), what.files.end());
  }
  if (left.contains(kBuildCache)) return {};  // its folder may be one that cannot be opened
  auto records = data_root.try_sub(kBuildRecords);
  if (!records) return {};
  for (const std::string& id : ids) lengths.insert(id.size());
  try {
    for (const DirEntry& entry : records->list()) {
      auto st = entry.name.ends_with(".db") ? records->try_stat(entry.name) : std::nullopt;
      if (!st || !S_ISREG(st->st_mode)) continue;
      Fd file = records->open_file(entry.name, O_RDONLY | O_NONBLOCK);
      if (!ids.empty() && names_one_of(file, records->path_of(entry.name), ids, lengths))
        return {build_cache_problem("its records name layers that are left behind")};
    }
  } catch (const Error& e) {
    if (!is_damage(e)) throw;
    return {build_cache_problem(e.what())};
  }
  return {};
}

std::string_view kind_name(Part::Kind kind) {
  switch (kind) {
    case Part::Kind::layer:
      return "layer";
    case Part::Kind::image:
      return "image";
    case Part::Kind::container:
      return "container";
    case Part::Kind::build_cache:
      break;
  }
  return "build cache";
}

std::string names_of(const LeftBehind& left) {
  constexpr std::size_t kMost = 10;
  std::string names;
  std::size_t count = 0;
  for (const auto& [part, what] : left)
    if (part.kind != Part::Kind::layer && count++ < kMost)
      names += (names.empty() ? "" : ", ") + describe(part, what);
  if (count > kMost) names += " and " + std::to_string(count - kMost) + " more";
  return names.empty() ? std::to_string(left.size()) + " layers" : names;
}

std::string describe(const Part& part, const LeftPart& left) {
  std::string kind(kind_name(part.kind));
  return part.kind == Part::Kind::build_cache ? "the " + kind : kind + " " + printable(left.name);
}

}  // namespace drover
