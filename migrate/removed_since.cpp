#include "migrate/removed_since.hpp"

#include <linux/fs.h>

#include <algorithm>

#include "drivers/clone_tree.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/left_behind.hpp"
#include "migrate/left_behind_record.hpp"
#include "migrate/left_out.hpp"
#include "migrate/require_written.hpp"
#include "migrate/stage_records.hpp"

namespace drover {

namespace {

constexpr const char* kReduced = "image-back";

/// Puts something aside in the migration's folder, with which it goes; durable.
void take_out(const Dir& from, const std::string& name, const Dir& folder, const std::string& as) {
  folder.remove_tree(as);
  from.rename(name, folder, as, RENAME_NOREPLACE);
  folder.sync();
  from.sync();
}

FactsOfLayers facts_without(const Driver& source, const std::set<LayerId>& gone) {
  FactsOfLayers facts;
  for (const LayerId& id : source.layers()) {
    if (gone.contains(id)) continue;
    LayerFacts one;
    try {
      one.stack = source.stack(id);
    } catch (const Error& e) {
      if (!is_damage(e)) throw;  // it was so before
      one.stack = {id};
    }
    facts.emplace(id, std::move(one));
  }
  return facts;
}

/// What the new setup never had nobody can have removed from it: it is no part of this.
void set_apart(Inventory& inventory, const LeftBehind& left_before) {
  for (const auto& [part, what] : left_before) {
    inventory.layers.erase(part.id);
    inventory.images.erase(part.id);
    inventory.containers.erase(part.id);
    inventory.mounts.erase(part.id);
    std::erase_if(inventory.foreign_containers, [&id = part.id](const auto& one) { return one.id == id; });
  }
}

void say_what_lacks_layers(const Driver& source, const LeftBehind& left_before,
                           const std::set<LayerId>& gone) {
  for (const auto& [part, what] : left_before)
    for (const LayerId& id : what.files) {
      std::vector<LayerId> stack;
      try {
        stack = source.stack(id);
      } catch (const Error& e) {
        if (!is_damage(e)) throw;  // it was so before
      }
      if (std::none_of(stack.begin(), stack.end(), [&](const LayerId& one) { return gone.contains(one); }))
        continue;
      log_warning(
          describe(part, what) +
          " was left behind, and stands on layers that were removed with the engine since: it is there, "
          "and not whole");
      break;
    }
}

/// What of the old store is not whole without these layers.
Inventory without_removed(const Dir& data_root, const Driver& source, const LeftBehind& left_before,
                          const std::set<LayerId>& gone) {
  Inventory inventory = read_inventory(data_root, source.kind(), nullptr);
  set_apart(inventory, left_before);
  FactsOfLayers facts = facts_without(source, gone);
  LayerOwners owners(inventory);
  // What was damaged before, or left behind, comes back as it was.
  for (const auto& [id, owner] : owners.named())
    if (!gone.contains(id) && !facts.contains(id)) facts[id].stack = {id};
  std::vector<StoreProblem> problems;
  for (const LayerId& id : gone)
    if (auto parts = owners.of(id); !parts.empty())
      problems.push_back({"it was removed with the engine since the switch", {}, true, {}, std::move(parts)});
  leave_behind(inventory, facts, problems);
  if (auto cache = build_cache_problems(data_root, inventory.left); !cache.empty())
    leave_behind(inventory, facts, cache);
  return inventory;
}

void reduce_image_records(const Dir& image, const std::string& driver, const Dir& folder,
                          const Inventory& inventory) {
  Dir records = image.sub(driver);
  std::set<std::string> left_out = left_out_of_image(records, inventory);
  folder.remove_tree(kReduced);
  folder.make_dir(kReduced, 0700);
  clone_tree(records, folder.sub(kReduced), false,
             [&](const std::string& path) { return left_out.contains(path); });
  drop_left_tags(records, folder.sub(kReduced), inventory.left);
  require_written(folder.sub(kReduced));
  folder.sync_fs();
  // In one step: without these records there is no way on, and no way back.
  folder.rename(kReduced, image, driver, RENAME_EXCHANGE);
  image.sync();
  folder.sync();
}

}  // namespace

void leave_out_removed(const Dir& data_root, const MigrationFolder& migration, Driver& source,
                       const std::set<LayerId>& gone) {
  const Dir& folder = migration.dir();
  Dir image = data_root.sub(kImage);
  std::string driver(driver_name(source.kind()));
  if (gone.empty()) return;
  LeftBehind left_before = migration.record().keep_going ? require_left_behind(folder) : LeftBehind();
  Inventory inventory = without_removed(data_root, source, left_before, gone);
  say_what_lacks_layers(source, left_before, gone);
  for (const auto& [part, what] : inventory.left)
    if (part.kind != Part::Kind::layer)
      log_warning(describe(part, what) +
                  " was removed with the engine since the switch, and does not come back");
  Dir containers = data_root.sub(kContainers);
  for (const std::string& id : left_out_of_containers(inventory.left))
    if (containers.exists(id)) take_out(containers, id, folder, "container-removed");
  if (inventory.left.contains({Part::Kind::build_cache, ""}) && data_root.exists(kBuildRecords))
    take_out(data_root, kBuildRecords, folder, "buildkit-removed");
  if (!inventory.left.empty()) reduce_image_records(image, driver, folder, inventory);
  // What is left of them, an empty frame each, is no layer.
  for (const LayerId& id : gone) source.remove(id);
  folder.sync_fs();
}

}  // namespace drover
