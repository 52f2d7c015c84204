#include "migrate/archive/import.hpp"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "drivers/probe_backing.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/size_text.hpp"
#include "migrate/archive/container_config.hpp"
#include "migrate/archive/import_folders.hpp"
#include "migrate/archive/import_place.hpp"
#include "migrate/archive/import_record.hpp"
#include "migrate/archive/incoming_store.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/archive/receive.hpp"
#include "migrate/plan.hpp"
#include "migrate/preflight.hpp"
#include "migrate/run_tasks.hpp"
#include "migrate/stage_layer.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"
#include "migrate/survey.hpp"

namespace drover {

namespace {

constexpr const char* kIncoming = "incoming";

std::string name_of(DriverKind kind) { return std::string(driver_name(kind)); }

void refuse_damage(const Inventory& inventory, const std::string& where) {
  for (const StoreProblem& problem : inventory.problems)
    if (problem.fatal)
      throw Error(where + ": " + problem.what, problem.fix.empty() ? "nothing was changed" : problem.fix);
}

/// The store in use.
Inventory read_there(const DataRoot& root, const Dir& dir, DriverKind kind, const HomeSettings& settings) {
  auto home = driver_entry(kind).open(root.path + "/" + name_of(kind), settings);
  auto place = dir.try_stat(driver_name(kind));
  if (place && !S_ISDIR(place->st_mode))
    throw Error("`" + root.path + "/" + name_of(kind) + "` is no directory but " +
                    (S_ISLNK(place->st_mode) ? "a symlink" : "a file") +
                    ", and drover follows none in a data root",
                "put the directory itself in its place, and try again");
  bool has_home = place.has_value();
  Inventory there = read_inventory(dir, kind, has_home ? home.get() : nullptr);
  refuse_damage(there, "the store of " + name_of(kind) + " in `" + root.path + "` is damaged");
  return there;
}

/// What was received, and what becomes of it: from when the archive is read to when its records are placed.
class Import {
 public:
  Import(const DataRoot& root, MigrationFolder& folder, unsigned threads, Progress& progress)
      : root_(root),
        dir_(Dir::open(root.path)),
        folder_(folder),
        kind_(folder.record().to),
        threads_(threads),
        progress_(progress) {}

  /// Everything up to the first change to the data root.
  ImportRecord prepare(ByteSource& stream, OnConflict how) {
    Inventory there = read_there(root_, dir_, kind_, folder_.record().to_home);
    std::map<Digest, LayerId> known;
    for (const auto& [id, layer] : there.layers) known.emplace(id, layer.cache_id);
    IncomingStore store(folder_.dir().make_path(kIncoming, 0700), kind_, known);
    notes_ = receive_archive(stream, store, progress_);
    Inventory incoming = read_incoming();
    refuse_damage(incoming, "the archive does not hold together");
    Dir containers_there = dir_.try_sub(kContainers).value_or(Dir());
    std::function<bool(const std::string&)> taken = [&](const std::string& id) {
      return containers_there && containers_there.exists(id);
    };
    Settled settled = settle_conflicts(incoming, there, how, taken);
    notes_.insert(notes_.end(), settled.notes.begin(), settled.notes.end());
    for (const std::string& id : settled.skipped) leave_out(id);
    for (const auto& [id, container] : incoming.containers)
      if (!settled.skipped.contains(id)) rewrite_container(id, settled);
    incoming = read_incoming();
    return record_of(incoming, there, settled);
  }

  /// Makes the layers, places the records. What was made of the layers before is made anew.
  ImportResult carry_out(const ImportRecord& record) {
    Inventory incoming = read_incoming();
    ImportResult result;
    result.to = kind_;
    result.images = incoming.images.size();
    result.containers = incoming.containers.size();
    result.tags = record.tags.size();
    result.notes = std::move(notes_);
    if (folder_.state() == MigrationState::staging) {
      refuse_damage(incoming, "what was read of the archive is damaged by now");
      stage(incoming, record, result);
      folder_.set_state(MigrationState::switching);
    }
    progress_.phase("placing Docker's records");
    make_record_folders(dir_, record.made_dirs, folder_.record().to_home.owner);
    place_import(dir_, folder_, record);
    // From here on there is no way back: what was replaced goes.
    folder_.set_state(MigrationState::committing);
    LiveHome home(root_, folder_.record());
    remove_replaced(home, record);
    home.driver().close();
    folder_.end();
    return result;
  }

 private:
  Dir incoming_dir() const { return folder_.dir().sub(kIncoming); }
  std::unique_ptr<Driver> incoming_home() const { return IncomingStore::open_home(incoming_dir()); }
  /// Where its records are, in its folder and in the data root alike.
  std::string records() const { return "image/" + name_of(kind_); }
  Inventory read_incoming() const {
    auto home = incoming_home();
    return read_inventory(incoming_dir(), kind_, home.get());
  }

  void leave_out(const std::string& id) {
    Dir incoming = incoming_dir();
    incoming.sub(kContainers).remove_tree(id);
    incoming.walk(records() + "/layerdb/mounts").remove_tree(id);
  }

  /// For this data root and driver, under the ID and name that it is to have.
  void rewrite_container(const std::string& id, const Settled& settled) {
    Dir containers = incoming_dir().sub(kContainers),
        mounts = incoming_dir().walk(records() + "/layerdb/mounts");
    auto renamed = settled.ids.find(id);
    auto named = settled.names.find(id);
    ContainerHome home{renamed == settled.ids.end() ? id : renamed->second,
                       named == settled.names.end() ? "" : named->second, root_.path, kind_};
    Dir folder = containers.sub(id);
    rewrite_file(folder, kContainerConfig, config_for_home(folder.read(kContainerConfig), id, home));
    if (home.id == id) return;
    for (const DirEntry& entry : folder.list())
      if (entry.name.starts_with(id))
        folder.rename(entry.name, folder, home.id + entry.name.substr(id.size()));
    containers.rename(id, containers, home.id);
    mounts.rename(id, mounts, home.id);
  }

  ImportRecord record_of(const Inventory& incoming, const Inventory& there, const Settled& settled) {
    ImportRecord record;
    record.made_home = !dir_.exists(name_of(kind_));
    record.made_repositories = !is_there(dir_, records() + "/repositories.json");
    Plan plan = plan_of(incoming, there);
    for (const PlannedLayer& layer : plan.layers)
      if (!layer.chain_id || !there.layers.contains(*layer.chain_id)) record.layers.push_back(layer.id);
    record.tags = settled.tags;
    record.old_tags = settled.old_tags;
    std::string to = records() + "/";
    auto move = [&](const std::string& path) {
      record.moves.emplace_back(std::string(kIncoming) + "/" + to + path, to + path);
    };
    for (const PlannedLayer& layer : plan.layers)
      if (layer.chain_id && !there.layers.contains(*layer.chain_id))
        move("layerdb/sha256/" + *layer.chain_id);
    for (const auto& [name, mount] : incoming.mounts) move("layerdb/mounts/" + name);
    for (const auto& [id, image] : incoming.images) {
      if (there.images.contains(id)) continue;
      move("imagedb/content/sha256/" + id);
      std::string metadata = "imagedb/metadata/sha256/" + id;
      if (is_there(incoming_dir(), to + metadata) && !is_there(dir_, to + metadata)) move(metadata);
    }
    for (const char* kind :
         {"distribution/v2metadata-by-diffid/sha256", "distribution/diffid-by-digest/sha256"})
      if (is_there(incoming_dir(), to + kind))
        for (const DirEntry& entry : incoming_dir().walk(to + kind).list())
          if (!is_there(dir_, to + kind + "/" + entry.name)) move(std::string(kind) + "/" + entry.name);
    for (const auto& [id, container] : incoming.containers)
      record.moves.emplace_back(std::string(kIncoming) + "/containers/" + id, "containers/" + id);
    for (const std::string& id : settled.replaced) replace(record, there, id);
    record.made_dirs = missing_record_folders(dir_, kind_, record.moves);
    return record;
  }

  void replace(ImportRecord& record, const Inventory& there, const std::string& id) {
    auto container = there.containers.find(id);
    if (container == there.containers.end())
      throw Error("container " + short_id(id) + " cannot be replaced: it is one of another driver",
                  "nothing was changed; --on-conflict rename gives the imported one another ID");
    if (still_runs(container->second))
      throw Error(ExitCode::in_use,
                  "container " + display_name(container->second) + " still runs, without an engine",
                  "stop it first; nothing was changed");
    record.put_aside.emplace_back("containers/" + id, "kept/containers/" + id);
    if (auto mount = there.mounts.find(id); mount != there.mounts.end()) {
      record.put_aside.emplace_back(records() + "/layerdb/mounts/" + id, "kept/mounts/" + id);
      record.replaced_layers.push_back(mount->second.mount_id);
      if (mount->second.init_id) record.replaced_layers.push_back(*mount->second.init_id);
    }
  }

  Plan plan_of(const Inventory& incoming, const Inventory& there) {
    auto source = incoming_home();
    Survey survey = survey_layers(incoming_dir(), incoming, *source, threads_);
    auto target = driver_entry(kind_).open(root_.path + "/" + name_of(kind_), folder_.record().to_home);
    BackingFilesystem backing = probe_backing(root_.path);
    auto space = target->space();
    TargetFacts facts;
    facts.kind = kind_;
    facts.form = target->form();
    facts.writable_form = target->writable_form();
    facts.links = !target->layers_are_volumes();
    facts.reflink = backing.reflink.value_or(false) && !space;
    facts.snapshots = target->layers_are_volumes();
    facts.size_limits = target->limits_size();
    facts.free_bytes = space ? space->free_bytes : backing.free_bytes;
    facts.free_inodes = backing.free_inodes;
    facts.counts_inodes = !space && backing.total_inodes > 0;
    facts.place = space ? space->where : "the filesystem of `" + root_.path + "`";
    Plan plan = make_plan(incoming, source->form(), survey.facts, facts);
    // What is there already is not made again.
    for (const PlannedLayer& layer : plan.layers)
      if (layer.chain_id && there.layers.contains(*layer.chain_id)) {
        const LayerFacts& known = survey.facts.at(layer.id);
        plan.needed_bytes -= std::min(plan.needed_bytes, known.bytes);
        plan.needed_inodes -= std::min(plan.needed_inodes, known.entries);
      }
    if (!plan.fits())
      throw Error("not enough room on " + plan.place + ": up to " + human_size(plan.needed_bytes) +
                      " is needed, " + human_size(plan.free_bytes) + " is free",
                  "nothing was changed; make room and try again");
    return plan;
  }

  void stage(const Inventory& incoming, const ImportRecord& record, ImportResult& result) {
    Inventory there = read_there(root_, dir_, kind_, folder_.record().to_home);
    Plan plan = plan_of(incoming, there);
    LiveHome home(root_, folder_.record());
    home.open_for_layers(there, record);
    // Of a run that was cut.
    for (auto id = record.layers.rbegin(); id != record.layers.rend(); ++id)
      if (home.driver().contains(*id)) home.driver().remove(*id);
    auto source = incoming_home();
    Dir incoming_root = incoming_dir();
    LayerStager stager(incoming_root, incoming, plan, *source, home.driver());
    progress_.phase("making and proving " + std::to_string(record.layers.size()) + " layers");
    std::set<LayerId> wanted(record.layers.begin(), record.layers.end());
    std::map<LayerId, std::size_t> made_by;
    std::vector<Task> tasks;
    std::mutex mutex;
    std::size_t done = 0;
    for (const PlannedLayer& layer : plan.layers) {
      if (!wanted.contains(layer.id)) {
        ++result.shared_layers;
        continue;
      }
      if (layer.role == LayerRole::image) ++result.new_layers;
      Task task{[&] {
                  stager.stage(layer);
                  stager.prove(layer, false);
                  std::lock_guard lock(mutex);
                  progress_.step(describe(layer), ++done, record.layers.size());
                },
                {}};
      if (layer.parent)
        if (auto parent = made_by.find(*layer.parent); parent != made_by.end())
          task.after.push_back(parent->second);
      made_by.emplace(layer.id, tasks.size());
      tasks.push_back(std::move(task));
    }
    run_tasks(tasks, threads_);
    home.finish_layers();
    dir_.sync_fs();
  }

  const DataRoot& root_;
  Dir dir_;
  MigrationFolder& folder_;
  DriverKind kind_;
  unsigned threads_;
  Progress& progress_;
  std::vector<std::string> notes_;
};

/// While nothing is placed there is nothing to keep: the archive can be read again.
void give_up(const DataRoot& root, MigrationFolder& folder) {
  try {
    roll_back_import(root, folder);
  } catch (const std::exception& e) {
    log_warning(std::string("the import could not be cleared away: ") + e.what() +
                "; `drover rollback` does that");
  }
}

}  // namespace

ImportResult import_archive(const DataRoot& root, ByteSource& stream, const ImportOptions& options,
                            Progress& progress) {
  MigrationRecord what;
  what.from = what.to = options.to;
  what.config_path = options.config_path;
  what.from_home = what.to_home = options.settings;
  what.import = true;
  MigrationFolder folder = MigrationFolder::create(Dir::open(root.path), what);
  try {
    Import import(root, folder, options.threads, progress);
    ImportRecord record = import.prepare(stream, options.on_conflict);
    folder.dir().sync_fs();  // from here on it can be gone on with
    write_import_record(folder.dir(), record);
    return import.carry_out(record);
  } catch (const Error& e) {
    if (folder.state() != MigrationState::staging)
      throw Error(e.code(), e.what(), next_step(folder.record(), folder.state()));
    give_up(root, folder);
    bool of_migrations = e.hint().find("drover rollback") != std::string::npos ||
                         e.hint().find("drover migrate") != std::string::npos;
    throw Error(e.code(), e.what(), of_migrations ? "nothing was changed" : e.hint());
  } catch (...) {
    if (folder.state() == MigrationState::staging) give_up(root, folder);
    throw;
  }
}

ImportResult resume_import(const DataRoot& root, MigrationFolder& folder, unsigned threads,
                           Progress& progress) {
  if (folder.state() == MigrationState::rolling_back)
    throw Error("the import was being given up when that was interrupted", "`drover rollback` finishes that");
  auto record = read_import_record(folder.dir());
  if (!record)
    throw Error("the import was interrupted before it had read all of its archive",
                "`drover rollback` gives it up; then import the archive again");
  return Import(root, folder, threads, progress).carry_out(*record);
}

void roll_back_import(const DataRoot& root, MigrationFolder& folder) {
  Dir dir = Dir::open(root.path);
  if (auto record = read_import_record(folder.dir())) {
    if (folder.state() == MigrationState::committing)
      throw Error("everything is imported already, and what it replaces is being removed",
                  "`drover import --resume` ends that");
    if (folder.state() == MigrationState::switching || folder.state() == MigrationState::rolling_back) {
      if (folder.state() == MigrationState::switching) {
        // Refused, it can still be gone on with.
        require_unused(dir, folder, *record);
        folder.set_state(MigrationState::rolling_back);
      }
      take_back_import(dir, folder, *record);
    }
    LiveHome home(root, folder.record());
    home.take_back(*record);
    remove_record_folders(dir, record->made_dirs);
  }
  folder.end();
}

}  // namespace drover
