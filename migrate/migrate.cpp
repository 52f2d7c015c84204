#include "migrate/migrate.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>

#include "detect/late_engines.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/layer_renames.hpp"
#include "migrate/left_behind_record.hpp"
#include "migrate/root_switch.hpp"
#include "migrate/run_tasks.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/stage_root.hpp"
#include "migrate/switch.hpp"

namespace drover {

namespace {

/// Carries all layers of a plan into the home that is being built; where the migration keeps going, all but
/// those that are damaged in the source and what needs them.
class LayerTransfer {
 public:
  LayerTransfer(const Dir& data_root, MigrationFolder& folder, Preflight& found, Driver& target,
                Progress& progress, MigrationResult& result)
      : data_root_(data_root),
        folder_(folder),
        found_(found),
        target_(target),
        progress_(progress),
        result_(result) {}

  void run(unsigned threads) {
    drop_unfinished();
    stager_.emplace(data_root_, found_.inventory, found_.plan, *found_.source, target_);
    std::vector<Task> tasks;
    std::map<LayerId, std::size_t> staged_by;
    for (const PlannedLayer& layer : found_.plan.layers) {
      if (kept_.contains(layer.id)) {
        // What stood on it in that run may be left behind by now, and what was left behind may be back: then
        // it was not compared as a whole yet.
        if (folder_.record().keep_going && layer.head)
          tasks.push_back({[this, &layer] { this->prove(layer); }, {}});
        continue;
      }
      Task stage{[this, &layer] { this->stage(layer); }, {}};
      // A parent that is not among the tasks is there from an earlier run.
      if (layer.parent)
        if (auto parent = staged_by.find(*layer.parent); parent != staged_by.end())
          stage.after.push_back(parent->second);
      staged_by.emplace(layer.id, tasks.size());
      tasks.push_back(std::move(stage));
      tasks.push_back({[this, &layer] { this->prove(layer); }, {tasks.size() - 1}});
    }
    run_tasks(tasks, threads);
    while (!damage_.empty()) leave_damaged();
    for (const PlannedLayer& layer : found_.plan.layers) {
      auto check = checks_.find(layer.id);
      if (check == checks_.end() && kept_.contains(layer.id)) {
        ++result_.earlier;
        if (folder_.damaged_layers().contains(layer.id)) result_.damaged.push_back(describe(layer));
        continue;
      }
      if (check ==
          checks_.end())  // it was left out for another one, and that one was not left behind with it
        throw Error(ExitCode::proof_failed, describe(layer) + " was not carried",
                    "the source is untouched; `drover rollback` removes the copy");
      if (layer.renamed) ++result_.renamed;
      if (check->second == LayerCheck::proven) ++result_.proven;
      if (check->second == LayerCheck::not_read) ++result_.not_proven;
      if (check->second == LayerCheck::compared ||
          (check->second == LayerCheck::damaged_before && !layer.renamed))
        ++result_.compared;
      if (check->second == LayerCheck::damaged_before) result_.damaged.push_back(describe(layer));
    }
  }

 private:
  /// An image layer counts as finished only with all that it stands on: what stands on a layer that is made
  /// anew would refer to the old one. Other layers are made anew, since an engine may have run in the
  /// meantime.
  void drop_unfinished() {
    for (const PlannedLayer& layer : found_.plan.layers)
      if (layer.immutable() && folder_.finished_layers().contains(layer.id) &&
          (!layer.parent || kept_.contains(*layer.parent)) && target_.contains(layer.id) &&
          renames_.is_staged(layer.id) == layer.renamed)
        kept_.insert(layer.id);
    std::vector<LayerId> dropped;
    for (LayerId& id : target_.layers())
      if (!kept_.contains(id)) dropped.push_back(std::move(id));
    drop(dropped);
  }

  void drop(const std::vector<LayerId>& ids) {
    folder_.journal().layers_dropped(ids);
    for (const LayerId& id : ids) {
      target_.remove(id);
      renames_.drop(id);
    }
  }

  void stage(const PlannedLayer& layer) {
    attempt(layer, [&] {
      TransferCount count = layer.renamed ? stage_renamed(layer) : stager_->stage(layer);
      std::lock_guard lock(mutex_);
      result_.transfer += count;
    });
  }

  /// All that the driver makes beside the layer's own directory, in whose place there is an empty one.
  TransferCount stage_renamed(const PlannedLayer& layer) {
    target_.create(layer.id, layer.parent, {});
    target_.seal(layer.id);
    renames_.stage(layer, *found_.source, target_);
    return {};
  }

  void prove(const PlannedLayer& layer) {
    attempt(layer, [&] {
      LayerCheck check =
          folder_.record().no_proof ? LayerCheck::not_read : stager_->prove(layer, folder_.record().force);
      std::unique_lock lock(mutex_);
      checks_[layer.id] = check;
      ++done_;
      progress_.step(describe(layer) + told(check), kept_.size() + done_, found_.plan.layers.size());
      write_down({layer.id, check == LayerCheck::damaged_before}, lock);
    });
  }

  /// Where the migration keeps going, damage of the source is noted, and what stands on it is not begun.
  /// Asked is the source itself, since the error of a copy does not say which side failed: what is the
  /// target's ends the migration.
  void attempt(const PlannedLayer& layer, const std::function<void()>& work) {
    if (is_skipped(layer)) return;
    try {
      work();
    } catch (const Error& e) {
      if (!folder_.record().keep_going || !is_damage(e)) throw;
      std::string damage = stager_->source_damage(layer, folder_.record().force);
      if (damage.empty()) throw;
      std::lock_guard lock(mutex_);
      progress_.step(describe(layer) + ": damaged", kept_.size() + done_, found_.plan.layers.size());
      damage_.emplace(layer.id, damage);
      skipped_.insert(layer.id);
    }
  }

  bool is_skipped(const PlannedLayer& layer) {
    std::lock_guard lock(mutex_);
    return skipped_.contains(layer.id) ||
           (layer.parent && skipped_.contains(*layer.parent) && skipped_.insert(layer.id).second);
  }

  /// Takes the damaged layers, with all that needs them, out of what was found and out of the target. What
  /// stood below them may show as a whole now, and is compared as such.
  void leave_damaged() {
    std::vector<StoreProblem> problems;
    LayerOwners owners(found_.inventory);
    for (const PlannedLayer& layer : found_.plan.layers)  // parents first: theirs is the reason that is told
      if (auto damage = damage_.find(layer.id); damage != damage_.end()) {
        problems.push_back({damage->second, {}, true, {}, owners.of(layer.id)});
        found_.facts.erase(layer.id);  // one that no record names costs what stands on it all the same
      }
    damage_.clear();
    std::vector<LayerId> before;
    for (auto layer = found_.plan.layers.rbegin(); layer != found_.plan.layers.rend(); ++layer)
      before.push_back(layer->id);
    leave_behind(found_.inventory, found_.facts, problems);
    leave_behind(found_.inventory, found_.facts, build_cache_problems(data_root_, found_.inventory.left));
    write_left_behind(folder_.dir(), found_.inventory.left);
    std::vector<LayerId> heads = reduce_plan(found_.plan, found_.inventory, found_.facts);
    std::erase_if(before, [&](const LayerId& id) { return found_.facts.contains(id); });
    drop(before);  // children first
    stager_.emplace(data_root_, found_.inventory, found_.plan, *found_.source, target_);
    for (const PlannedLayer& layer : found_.plan.layers)
      if (std::find(heads.begin(), heads.end(), layer.id) != heads.end()) prove(layer);
  }

  /// One thread makes durable what all have finished in the meantime: a layer's line may only be written once
  /// its files are on disk.
  void write_down(FinishedLayer layer, std::unique_lock<std::mutex>& lock) {
    unwritten_.push_back(std::move(layer));
    if (writing_) return;
    writing_ = true;
    try {
      while (!unwritten_.empty()) {
        std::vector<FinishedLayer> batch;
        batch.swap(unwritten_);
        lock.unlock();
        folder_.dir().sync_fs();
        folder_.journal().layers_finished(batch);
        lock.lock();
      }
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      writing_ = false;
      throw;
    }
    writing_ = false;
  }

  static const char* told(LayerCheck check) {
    if (check == LayerCheck::proven) return ": proven";
    if (check == LayerCheck::not_read) return ": not proven";
    return check == LayerCheck::renamed ? ": to be renamed" : ": compared";
  }

  const Dir& data_root_;
  MigrationFolder& folder_;
  const LayerRenames renames_{folder_.dir()};
  Preflight& found_;
  Driver& target_;
  std::optional<LayerStager> stager_;
  Progress& progress_;
  MigrationResult& result_;
  std::set<LayerId> kept_;  ///< of an earlier run
  std::mutex mutex_;
  std::map<LayerId, LayerCheck> checks_;
  std::map<LayerId, std::string> damage_;
  std::set<LayerId> skipped_;
  std::vector<FinishedLayer> unwritten_;
  bool writing_ = false;
  std::size_t done_ = 0;
};

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
  outlast_late_engines();
  folder.set_state(MigrationState::switched);
}

/// Where the target's home is made: in a new root in its place, which no engine looks at yet.
std::string home_to_make(const MigrationFolder& folder) {
  const MigrationRecord& record = folder.record();
  return record.move ? record.move->to_root + "/" + std::string(driver_name(record.to)) : folder.home_path();
}

/// What is half made would be made anew, with all that an engine has done there.
void require_old_root_in_force(const MigrationFolder& folder) {
  const MigrationRecord& record = folder.record();
  if (RootSwitch(folder).is_done())
    throw Error(ExitCode::in_use,
                "`" + record.config_path + "` names the new root `" + record.move->config_root +
                    "` already, which is not whole yet: an engine may have run on it",
                "name `" + record.move->from_root +
                    "` there again, save what the engine has made in the new root, then go on");
}

/// The configuration names the new root already, or will by one rename.
void finish_root_switch(MigrationFolder& folder) {
  folder.set_state(MigrationState::switching);
  RootSwitch(folder).forward();
  folder.journal().step("the configuration names `" + folder.record().move->config_root + "`");
  outlast_late_engines();
  folder.set_state(MigrationState::switched);
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
  new_root.sync_fs();
  RootSwitch(folder).prepare(dir, found.rest.names);
  new_root.sync_fs();
  progress.phase("switching to " + new_root.path());
  finish_root_switch(folder);
}

MigrationResult stage_and_switch(const DataRoot& root, MigrationFolder& folder, Preflight& found,
                                 unsigned threads, Progress& progress) {
  Dir dir = Dir::open(root.path);
  if (folder.record().move) require_old_root_in_force(folder);
  MigrationResult result = summary_of(found.plan, root, folder.record());
  auto target = driver_entry(found.plan.to).open(home_to_make(folder), folder.record().to_home);
  target->make_home();
  // Decided anew by each run: since an earlier one the source may have been repaired, or become worse.
  if (folder.record().keep_going) write_left_behind(folder.dir(), found.inventory.left);
  progress.phase("staging and proving " + std::to_string(found.plan.layers.size()) + " layers");
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
  for (const LayerId& id : folder.damaged_layers()) result.damaged.push_back("layer " + short_id(id));
  if (record.keep_going) {
    auto left = read_left_behind(folder.dir());
    result.left_unknown = !left;
    if (left) result.left = std::move(*left);
  }
  return result;
}

}  // namespace drover
