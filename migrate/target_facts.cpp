#include "migrate/target_facts.hpp"

#include "drivers/sys/error.hpp"
#include "drivers/sys/size_text.hpp"
#include "migrate/left_out.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/survey.hpp"

namespace drover {

namespace {

/// Of a migration within a root; `root` is where that is.
void measure_records(TargetFacts& facts, const Dir& root, const Inventory& inventory) {
  auto add = [&](const std::optional<Dir>& folder, const std::set<std::string>& left_out) {
    if (!folder) return;
    LayerFacts own =
        measure_tree(*folder, nullptr, [&](const std::string& path) { return left_out.contains(path); });
    facts.record_bytes += own.bytes;
    facts.record_inodes += own.entries;
  };
  Dir records = root.sub(kImage).sub(driver_name(inventory.driver));
  add(records.clone(), left_out_of_image(records, inventory));
  add(root.try_sub(kContainers), left_out_of_containers(inventory.left));
  if (!inventory.left.contains({Part::Kind::build_cache, ""})) add(root.try_sub(kBuildRecords), {});
}

}  // namespace

TargetFacts facts_of_home(const Driver& target, const Driver& source, const std::string& root,
                          const BackingFilesystem& backing) {
  auto space = target.space();
  TargetFacts facts;
  facts.kind = target.kind();
  facts.form = target.form();
  facts.writable_form = target.writable_form();
  facts.links = !source.layers_are_volumes() && !target.layers_are_volumes();
  // Files are not cloned from one filesystem to another.
  facts.reflink = backing.reflink.value_or(false) && !space && !source.space();
  facts.snapshots = target.layers_are_volumes();
  facts.size_limits = target.limits_size();
  facts.free_bytes = space ? space->free_bytes : backing.free_bytes;
  facts.free_inodes = backing.free_inodes;
  facts.counts_inodes = !space && backing.total_inodes > 0;
  facts.place = space ? space->where : "the filesystem of `" + root + "`";
  return facts;
}

TargetFacts look_at_target(const std::string& root, const BackingFilesystem& backing, DriverKind to,
                           const HomeSettings& settings, const Driver& source, const Dir& dir,
                           const Inventory& inventory, const RootRest* rest) {
  auto target = driver_entry(to).open(root + "/" + std::string(driver_name(to)), settings);
  TargetFacts facts = facts_of_home(*target, source, root, backing);
  if (rest) {
    facts.record_bytes = rest->facts.bytes;
    facts.record_inodes = rest->facts.entries;
    facts.links = false;  // not even on one filesystem: nothing of the old root is touched
    facts.shared_trees = true;
  } else {
    measure_records(facts, dir, inventory);
  }
  // The records are copied on the data root's filesystem wherever the layers go.
  if (target->space() && backing.free_bytes < facts.record_bytes)
    throw Error("not enough space on the filesystem of `" + root + "`: Docker's records need " +
                    human_size(facts.record_bytes) + ", " + human_size(backing.free_bytes) + " are free",
                "make room there and try again");
  return facts;
}

}  // namespace drover
