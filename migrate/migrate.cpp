#include "migrate/migrate.hpp"

#include "detect/late_engines.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/layer_transfer.hpp"
#include "migrate/left_behind_record.hpp"
#include "migrate/next_step.hpp"
#include "migrate/old_root.hpp"
#include "migrate/require_written.hpp"
#include "migrate/root_switch.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/stage_root.hpp"
#include "migrate/switch.hpp"

namespace drover {

namespace {

/// What is and stays true of a migration; the counts once all is staged.
MigrationResult summary_of(const Plan& plan, const DataRoot& root, const MigrationRecord& record) {
  MigrationResult result;
  result.root = record.move ? record.move->to_root : root.path;
  if (record.move) result.old_root = record.move->from_root;
  result.from = plan.from;
  result.to = plan.to;
  result.renames = record.renames;
  result.no_proof = record.no_proof;
  return result;
}

void count_carried(const Preflight& found, MigrationResult& result) {
  result.images = found.plan.images;
  result.tags = found.plan.tags;
  result.containers = found.plan.containers;
  result.notes = found.plan.notes;
  result.left = found.inventory.left;
}

void finish_switch(const Dir& data_root, MigrationFolder& folder) {
  if (folder.state() != MigrationState::switching) folder.set_state(MigrationState::switching);
  Switch(data_root, folder).forward();
  // First of all: what is written to the new setup from here on is not given up without a question.
  folder.set_state(MigrationState::switched);
  outlast_late_engines();
}

/// Where the target's home is made: in a new root in its place, which no engine looks at yet.
std::string home_to_make(const MigrationFolder& folder) {
  const MigrationRecord& record = folder.record();
  return record.move ? record.move->to_root + "/" + std::string(driver_name(record.to)) : folder.home_path();
}

/// The configuration names the new root already, or will by one rename.
void finish_root_switch(MigrationFolder& folder) {
  folder.set_state(MigrationState::switching);
  RootSwitch(folder).forward();
  folder.journal().step("the configuration names `" + folder.record().move->config_root + "`");
  folder.set_state(MigrationState::switched);
  outlast_late_engines();
}

void stage_records_and_switch(const Dir& dir, MigrationFolder& folder, const Preflight& found,
                              Progress& progress) {
  progress.phase("copying and proving Docker's records");
  stage_records(dir, found.inventory, found.plan.to, folder.dir());
  prove_records(dir, found.inventory, found.plan.to, folder.dir());
  stage_build_records(dir, found.inventory, folder.dir());
  prove_build_records(dir, found.inventory, folder.dir());
  folder.dir().sync_fs();
  Switch(dir, folder).prepare();
  progress.phase("switching to " + std::string(driver_name(found.plan.to)));
  finish_switch(dir, folder);
}

void stage_rest_and_switch(const Dir& dir, MigrationFolder& folder, const Preflight& found,
                           Progress& progress, MigrationResult& result) {
  const MigrationRecord& record = folder.record();
  Dir new_root = Dir::open(record.move->to_root);
  progress.phase("copying all else in the data root");
  try {
    result.transfer += stage_rest(dir, found.inventory, record, new_root);
  } catch (const SystemError& e) {
    if (!record.keep_going || !is_damage(e)) throw;
    throw Error(
        e.what(),
        "--keep-going leaves images, containers and build cache behind, but nothing else of a data root: "
        "repair this, or move it elsewhere");
  }
  EngineLock lock = EngineLock::take(new_root.path());
  if (!record.no_proof) {
    progress.phase("proving it byte by byte");
    prove_rest(dir, found.inventory, record, new_root);
  }
  require_written(new_root);
  new_root.sync_fs();
  RootSwitch(folder).prepare(dir, new_root, found.rest.names, filled_volumes(dir));
  folder.reserve();
  new_root.sync_fs();
  progress.phase("switching to " + new_root.path());
  finish_root_switch(folder);
}

MigrationResult stage_and_switch(const DataRoot& root, MigrationFolder& folder, Preflight& found,
                                 unsigned threads, Progress& progress) {
  Dir dir = Dir::open(root.path);
  if (folder.record().move) {
    require_old_root_in_force(folder);
    // An earlier run's word that all is whole; from here on it is not.
    folder.dir().remove_tree("kept");
    folder.dir().sync();
  }
  MigrationResult result = summary_of(found.plan, root, folder.record());
  auto target = driver_entry(found.plan.to).open(home_to_make(folder), folder.record().to_home);
  target->make_home();
  // Decided anew by each run: since an earlier one the source may have been repaired, or become worse.
  if (folder.record().keep_going) write_left_behind(folder.dir(), found.inventory.left);
  progress.phase((folder.record().no_proof ? "staging " : "staging and proving ") +
                 std::to_string(found.plan.layers.size()) + " layers");
  LayerTransfer(dir, folder, found, *target, progress, result).run(threads);
  count_carried(found, result);
  target->close();
  found.source->close();
  if (folder.record().move)
    stage_rest_and_switch(dir, folder, found, progress, result);
  else
    stage_records_and_switch(dir, folder, found, progress);
  return result;
}

}  // namespace

MigrationResult run_migration(const DataRoot& root, const MigrationRecord& record, Preflight& found,
                              unsigned threads, Progress& progress) {
  MigrationFolder folder = MigrationFolder::create(Dir::open(root.path), record);
  return resume_migration(root, folder, found, threads, progress);
}

MigrationResult resume_migration(const DataRoot& root, MigrationFolder& folder, Preflight& found,
                                 unsigned threads, Progress& progress) {
  MigrationResult result;
  naming_next_step(folder, [&] { result = stage_and_switch(root, folder, found, threads, progress); });
  return result;
}

void correct_state(const Dir& data_root, MigrationFolder& folder) {
  if (folder.record().import || folder.state() != MigrationState::staging) return;
  if (folder.record().move) {
    if (RootSwitch(folder).is_done() && RootSwitch(folder).is_kept())
      folder.set_state(MigrationState::switching);
    return;
  }
  MigrationState found = Switch(data_root, folder).state_on_disk();
  if (found != MigrationState::staging) folder.set_state(found);
}

bool back_to_staging(const Dir& data_root, MigrationFolder& folder) {
  if (folder.state() != MigrationState::switching) return false;
  bool untouched =
      folder.record().move ? !RootSwitch(folder).is_done() : Switch(data_root, folder).is_untouched();
  if (!untouched) return false;
  if (folder.record().move) require_new_root_unused(folder);
  folder.set_state(MigrationState::staging);
  return true;
}

MigrationResult resume_switch(const DataRoot& root, MigrationFolder& folder) {
  const MigrationRecord& record = folder.record();
  Dir dir = Dir::open(record.move ? record.move->to_root : root.path);
  naming_next_step(folder, [&] {
    if (record.move) return finish_root_switch(folder);
    Switch(dir, folder).require_way_forward();
    finish_switch(dir, folder);
  });
  MigrationResult result;
  result.root = dir.path();
  if (record.move) result.old_root = record.move->from_root;
  result.from = folder.record().from;
  result.to = folder.record().to;
  Inventory there = read_inventory(dir, result.to, nullptr);
  result.images = there.images.size();
  for (const auto& [id, image] : there.images) result.tags += image.references.size();
  result.containers = there.containers.size();
  result.earlier = folder.finished_layers().size();
  result.renames = record.renames;
  result.no_proof = record.no_proof;
  if (record.renames) result.renamed = LayerRenames(folder.dir()).count();
  if (record.no_proof) result.not_proven = result.earlier;
  for (const LayerId& id : folder.damaged_layers()) result.damaged.push_back("layer " + short_id(id));
  if (record.keep_going) {
    auto left = read_left_behind(folder.dir());
    result.left_unknown = !left;
    if (left) result.left = std::move(*left);
  }
  return result;
}

}  // namespace drover
