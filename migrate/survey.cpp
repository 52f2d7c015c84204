#include "migrate/survey.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "drivers/attributes.hpp"
#include "drivers/repeated_inodes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/trail.hpp"
#include "migrate/left_behind.hpp"
#include "migrate/mark_scan.hpp"
#include "migrate/run_tasks.hpp"
#include "migrate/tar_split.hpp"

namespace drover {

namespace {

/// Reads a layer's recipe to its end. Gives back what is wrong with it, or nothing.
std::string check_tar_split(const Dir& data_root, DriverKind driver, const Digest& chain_id) {
  try {
    auto gz = open_tar_split(data_root, driver, chain_id);
    if (!gz) return {};
    TarSplitReader reader(std::move(*gz));
    TarSplitEntry entry;
    while (reader.next(entry)) check_interrupted();
  } catch (const Error& e) {
    if (!is_damage(e)) throw;
    return e.what();
  }
  return {};
}

/// As Dir::try_stat, with what chattr has set, which costs nothing here.
std::optional<struct statx> look_at(const Dir& dir, const std::string& name) {
  struct statx st;
  if (::statx(dir.fd(), name.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) == 0) return st;
  if (errno == ENOENT) return std::nullopt;
  throw_errno("cannot stat `" + dir.path_of(name) + "`");
}

/// What of the directories themselves keeps a layer from being renamed; empty: nothing.
std::string place_obstacle(const Dir& data_root, const Driver& source, const LayerId& id, const Dir& layer) {
  auto place = source.place_in_home(id);
  if (!place) return "it is no directory of its own";
  for (const Dir* dir : {static_cast<const Dir*>(&place->holder), &layer}) {
    auto st = look_at(*dir, ".");
    if (st && (st->stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)))
      return "`" + dir->path() + "` is immutable or append-only (chattr +i, +a)";
    if (quota_project(*dir) != quota_project(data_root))
      return "`" + dir->path() + "` is of another quota project than the data root";
  }
  return {};
}

/// One pass over all names, and what it tells.
LayerFacts look_at_layer(const Dir& data_root, const Driver& source, const LayerId& id,
                         std::optional<Marks> renamed_to) {
  Dir layer = source.open(id).root;
  LayerFacts facts;
  if (!renamed_to) {
    facts = measure_tree(layer);
    facts.remarks = source.remarks(id);
  } else {
    MarkScan scan(source.marks(), *renamed_to);
    facts = measure_tree(layer, &scan);
    facts.not_renamed = place_obstacle(data_root, source, id, layer);
    if (facts.not_renamed.empty()) facts.not_renamed = scan.obstacle();
    facts.respelled = scan.has_changes();
    if (!facts.not_renamed.empty() || scan.has_bookkeeping()) facts.remarks = source.remarks(id);
  }
  facts.stack = source.stack(id);
  return facts;
}

}  // namespace

LayerFacts measure_tree(const Dir& root, TreeVisitor* visitor,
                        const std::function<bool(const std::string& path)>& leave_out) {
  constexpr std::uint64_t kBlock = 512;  // the unit of st_blocks
  LayerFacts facts;
  FirstNames names([&root] { return RepeatedInodes::read({&root}); });
  struct Level {
    TrailDir dir;
    std::vector<DirEntry> entries;
    std::size_t path;  ///< how much of the walk's path is this directory's
    void let_go(const Level&) { dir.let_go(); }
    void reach_from(const Level& below) { dir.reach_from(below.dir); }
  };
  Trail<Level> levels;
  std::string path;
  auto enter = [&](std::string_view name, Dir dir) {
    auto entries = dir.list();
    if (visitor) visitor->enter(name, dir, entries);
    levels.push({TrailDir(std::move(dir)), std::move(entries), path.size()});
  };
  facts.bytes += static_cast<std::uint64_t>(root.stat().st_blocks) * kBlock;
  enter("", root.clone());
  while (!levels.empty()) {
    check_interrupted();
    if (levels.back().entries.empty()) {
      if (visitor) visitor->leave();
      levels.pop();
      continue;
    }
    std::string name = std::move(levels.back().entries.back().name);
    levels.back().entries.pop_back();
    path.resize(levels.back().path);
    if (!path.empty()) path += '/';
    path += name;
    if (leave_out && leave_out(path)) continue;
    const Dir& dir = *levels.back().dir;
    auto st = look_at(dir, name);
    if (!st) continue;  // gone since: an engine is at work
    if (visitor) visitor->entry(dir, name, *st);
    if (!S_ISDIR(st->stx_mode) && !names.is_first(0, st->stx_ino, st->stx_nlink)) continue;
    ++facts.entries;
    facts.bytes += st->stx_blocks * kBlock;
    if (st->stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) ++facts.protected_entries;
    if (!S_ISDIR(st->stx_mode)) continue;
    ++facts.directories;
    enter(name, dir.sub(name));
  }
  return facts;
}

std::map<LayerId, std::vector<std::string>> find_dependents(const Inventory& inventory) {
  std::map<LayerId, std::vector<std::string>> dependents;
  std::map<LayerId, std::size_t> counts;
  auto add = [&](const LayerId& id, const std::string& whom) {
    if (++counts[id] <= kMostConcerned) dependents[id].push_back(whom);
  };
  auto add_chain = [&](std::optional<Digest> chain, const std::string& whom) {
    for (auto at = chain; at;) {
      auto layer = inventory.layers.find(*at);
      if (layer == inventory.layers.end()) break;
      add(layer->second.cache_id, whom);
      at = layer->second.parent;
    }
  };
  for (const auto& [id, image] : inventory.images) add_chain(image.top, display_name(image));
  for (const auto& [id, container] : inventory.containers) {
    auto mount = inventory.mounts.find(id);
    if (mount == inventory.mounts.end()) continue;
    std::string whom = display_name(container);
    for (const LayerId& own : files_of(mount->second)) add(own, whom);
    add_chain(mount->second.parent, whom);
  }
  for (auto& [id, names] : dependents) add_count_of_rest(names, counts.at(id));
  return dependents;
}

Survey survey_layers(const Dir& data_root, const Inventory& inventory, const Driver& source, unsigned threads,
                     std::optional<Marks> renamed_to) {
  Survey survey;
  std::mutex mutex;
  auto dependents = find_dependents(inventory);
  LayerOwners owners(inventory);
  auto note = [&](const LayerId& id, const std::string& what, const std::string& fix = {}) {
    auto whom = dependents.find(id);
    auto parts = owners.of(id);
    // The records name it, or BuildKit's do, which fails where one is gone.
    bool is_named = std::any_of(parts.begin(), parts.end(), [](const auto& part) {
      return part.first.kind == Part::Kind::layer || part.first.kind == Part::Kind::build_cache;
    });
    std::lock_guard lock(mutex);
    if (whom == dependents.end() && is_named)
      survey.problems.push_back({what, {}, true, fix, std::move(parts)});
    else if (whom == dependents.end())
      survey.problems.push_back(
          {what + "; no image and no container needs it: it is left behind", {}, false, {}, owners.of(id)});
    else
      survey.problems.push_back({what, whom->second, true, fix, owners.of(id)});
  };
  std::vector<Task> tasks;
  std::vector<LayerId> ids = source.layers();
  for (const LayerId& id : ids)
    tasks.push_back({[&, id] {
                       try {
                         LayerFacts facts = look_at_layer(data_root, source, id, renamed_to);
                         std::lock_guard lock(mutex);
                         survey.facts.emplace(id, std::move(facts));
                       } catch (const Error& e) {
                         if (!is_damage(e)) throw;
                         auto link = source.symlink_to(id);
                         note(id,
                              "layer " + short_id(id) + " cannot be read: " +
                                  (link ? "`" + link->path + "` is a symlink" : e.what()),
                              link ? link->fix() : "");
                       }
                     },
                     {}});
  for (const auto& [chain, layer] : inventory.layers)
    tasks.push_back({[&, &record = layer] {
                       std::string wrong = check_tar_split(data_root, inventory.driver, record.chain_id);
                       if (!wrong.empty())
                         note(record.cache_id,
                              "layer " + short_id(record.chain_id) + ": its tar-split " + wrong);
                     },
                     {}});
  run_tasks(tasks, threads);
  return survey;
}

}  // namespace drover
