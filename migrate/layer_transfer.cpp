#include "migrate/layer_transfer.hpp"

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "migrate/left_behind_record.hpp"

namespace drover {

namespace {

const char* told(LayerCheck check) {
  if (check == LayerCheck::proven) return ": proven";
  if (check == LayerCheck::not_read) return ": not proven";
  return check == LayerCheck::renamed ? ": to be renamed" : ": compared";
}

}  // namespace

void LayerTransfer::run(unsigned threads) {
  drop_unfinished();
  stager_.emplace(data_root_, found_.inventory, found_.plan, *found_.source, target_);
  run_tasks(tasks(), threads);
  while (!damage_.empty()) leave_damaged();
  count();
}

std::vector<Task> LayerTransfer::tasks() {
  std::vector<Task> tasks;
  auto add = [&](void (LayerTransfer::*work)(const PlannedLayer&), const PlannedLayer& layer,
                 std::vector<std::size_t> after) {
    tasks.push_back({[this, work, &layer] { (this->*work)(layer); }, std::move(after)});
    return tasks.size() - 1;
  };
  auto once = [&](std::vector<std::size_t> after) {
    tasks.push_back({[] {}, std::move(after)});
    return tasks.size() - 1;
  };
  // After which task a child can be made; all that a layer shows is there; all of that is proven.
  std::map<LayerId, std::size_t> made_by, whole_by, proven_by;
  auto task_of = [](const std::map<LayerId, std::size_t>& done_by, const std::optional<LayerId>& layer) {
    std::vector<std::size_t> found;
    // One that is not among the tasks is there from an earlier run.
    if (auto task = layer ? done_by.find(*layer) : done_by.end(); task != done_by.end())
      found.push_back(task->second);
    return found;
  };
  auto add_proof = [&](const PlannedLayer& layer, std::vector<std::size_t> after) {
    std::vector<std::size_t> needed = task_of(proven_by, layer.parent);
    needed.push_back(add(&LayerTransfer::prove, layer, std::move(after)));
    proven_by[layer.id] =
        layer.head ? add(&LayerTransfer::prove_whole, layer, std::move(needed)) : once(std::move(needed));
  };
  for (const PlannedLayer& layer : found_.plan.layers) {
    if (kept_.contains(layer.id)) {
      // What stood on it in that run may be left behind by now, and what was left behind may be back: then
      // it was not compared as a whole yet.
      if (folder_.record().keep_going && layer.head) add_proof(layer, {});
      continue;
    }
    std::vector<std::size_t> parent_made = task_of(made_by, layer.parent);
    if (stager_->fills_alone()) {
      made_by[layer.id] = add(&LayerTransfer::make, layer, std::move(parent_made));
      std::vector<std::size_t> needed = task_of(whole_by, layer.parent);
      needed.push_back(add(&LayerTransfer::fill, layer, {made_by[layer.id]}));
      whole_by[layer.id] = once(std::move(needed));
    } else {
      whole_by[layer.id] = made_by[layer.id] = add(&LayerTransfer::stage, layer, std::move(parent_made));
    }
    add_proof(layer, {whole_by[layer.id]});
  }
  return tasks;
}

void LayerTransfer::count() {
  for (const PlannedLayer& layer : found_.plan.layers) {
    auto check = checks_.find(layer.id);
    if (check == checks_.end() && kept_.contains(layer.id)) {
      ++result_.earlier;
      if (layer.renamed) ++result_.renamed;
      if (folder_.record().no_proof) ++result_.not_proven;
      if (folder_.damaged_layers().contains(layer.id)) result_.damaged.push_back(describe(layer));
      continue;
    }
    // It was left out for another one, and that one was not left behind with it.
    if (check == checks_.end())
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

/// An image layer counts as finished only with all that it stands on: what stands on a layer that is made
/// anew would refer to the old one. Other layers are made anew, since an engine may have run in the
/// meantime.
void LayerTransfer::drop_unfinished() {
  for (const PlannedLayer& layer : found_.plan.layers)
    if (layer.immutable() && folder_.finished_layers().contains(layer.id) &&
        (!layer.parent || kept_.contains(*layer.parent)) && is_whole(layer))
      kept_.insert(layer.id);
  std::vector<LayerId> dropped;
  for (LayerId& id : target_.layers())
    if (!kept_.contains(id)) dropped.push_back(std::move(id));
  drop(dropped);
}

/// All of it is there that is made while staging: of a layer that will be renamed its list, and a place that
/// is free.
bool LayerTransfer::is_whole(const PlannedLayer& layer) const {
  if (renames_.is_staged(layer.id) != layer.renamed) return false;
  return layer.renamed ? renames_.is_awaited(layer.id, target_) : target_.contains(layer.id);
}

void LayerTransfer::drop(const std::vector<LayerId>& ids) {
  folder_.journal().layers_dropped(ids);
  for (const LayerId& id : ids) {
    // What is in the home is dropped by the next run, too; a list alone would not be.
    renames_.drop(id);
    target_.remove(id);
  }
}

void LayerTransfer::make(const PlannedLayer& layer) {
  attempt(layer, [&] {
    TransferCount count;
    stager_->make(layer, count);
    add(count);
  });
}

void LayerTransfer::fill(const PlannedLayer& layer) {
  attempt(layer, [&] {
    if (layer.renamed) return fill_renamed(layer);
    add(stager_->fill(layer, target_.open(layer.id)));
  });
}

void LayerTransfer::stage(const PlannedLayer& layer) {
  attempt(layer, [&] { add(stager_->stage(layer)); });
}

void LayerTransfer::add(const TransferCount& count) {
  std::lock_guard lock(mutex_);
  result_.transfer += count;
}

/// All that the driver makes beside the layer's own directory, whose place stays free.
void LayerTransfer::fill_renamed(const PlannedLayer& layer) {
  target_.seal(layer.id);
  renames_.stage(layer, *found_.source, target_);
}

// What fails in finish() is the target's, whatever the source is like by then: no attempt.

void LayerTransfer::prove(const PlannedLayer& layer) {
  bool proven = attempt(layer, [&] {
    LayerCheck check =
        folder_.record().no_proof ? LayerCheck::not_read : stager_->prove(layer, folder_.record().force);
    std::lock_guard lock(mutex_);
    checks_[layer.id] = check;
  });
  if (proven && !layer.head) finish(layer);
}

void LayerTransfer::prove_whole(const PlannedLayer& layer) {
  bool proven = attempt(layer, [&] {
    if (!folder_.record().no_proof) stager_->prove_whole(layer);
  });
  if (proven) finish(layer);
}

void LayerTransfer::finish(const PlannedLayer& layer) {
  std::unique_lock lock(mutex_);
  LayerCheck check = checks_.at(layer.id);
  ++done_;
  progress_.step(describe(layer) + told(check), kept_.size() + done_, found_.plan.layers.size());
  write_down({layer.id, check == LayerCheck::damaged_before}, lock);
}

/// Asked is the source itself, since the error of a copy does not say which side failed: what is the
/// target's ends the migration. So does damage of the source, but where the migration keeps going: there it
/// is noted, and what stands on it is not begun. Whether it was done.
bool LayerTransfer::attempt(const PlannedLayer& layer, const std::function<void()>& work) {
  if (is_skipped(layer)) return false;
  try {
    work();
    return true;
  } catch (const Error& e) {
    const bool keep_going = folder_.record().keep_going;
    if (!is_damage(e) || (!keep_going && e.code() == ExitCode::proof_failed)) throw;
    std::string damage = stager_->source_damage(layer, folder_.record().force);
    if (damage.empty()) throw;
    if (!keep_going) throw damaged_source(damage, false);
    std::lock_guard lock(mutex_);
    progress_.step(describe(layer) + ": damaged", kept_.size() + done_, found_.plan.layers.size());
    damage_.emplace(layer.id, damage);
    skipped_.insert(layer.id);
    return false;
  }
}

bool LayerTransfer::is_skipped(const PlannedLayer& layer) {
  std::lock_guard lock(mutex_);
  return skipped_.contains(layer.id) ||
         (layer.parent && skipped_.contains(*layer.parent) && skipped_.insert(layer.id).second);
}

/// Takes the damaged layers, with all that needs them, out of what was found and out of the target. What
/// stood below them may show as a whole now, and is compared as such.
void LayerTransfer::leave_damaged() {
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
    if (std::find(heads.begin(), heads.end(), layer.id) != heads.end()) {
      prove(layer);
      prove_whole(layer);
    }
}

/// One thread makes durable what all have finished in the meantime: a layer's line may only be written once
/// its files are on disk.
void LayerTransfer::write_down(FinishedLayer layer, std::unique_lock<std::mutex>& lock) {
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

}  // namespace drover
