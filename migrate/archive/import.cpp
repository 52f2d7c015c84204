#include "migrate/archive/import.hpp"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/archive/container_config.hpp"
#include "migrate/archive/import_folders.hpp"
#include "migrate/archive/import_place.hpp"
#include "migrate/archive/import_plan.hpp"
#include "migrate/archive/import_record.hpp"
#include "migrate/archive/import_unused.hpp"
#include "migrate/archive/incoming_store.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/archive/receive.hpp"
#include "migrate/next_step.hpp"
#include "migrate/plan.hpp"
#include "migrate/require_written.hpp"
#include "migrate/run_tasks.hpp"
#include "migrate/stage_layer.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

/// What is compared is no more than what the archive says; a diff ID does not come from there alone, if the
/// image is known elsewhere.
void require_proven(const PlannedLayer& layer, LayerCheck check) {
  if (layer.role == LayerRole::image && check != LayerCheck::proven)
    throw Error(ExitCode::proof_failed,
                describe(layer) + " does not have its diff ID: its tar-split does not lead back to it",
                "the archive is damaged, or was made by other hands than drover's: export it again");
}

constexpr const char* kIncoming = "incoming";

std::string name_of(DriverKind kind) { return std::string(driver_name(kind)); }

void refuse_damage(const Inventory& inventory, const std::string& where) {
  for (const StoreProblem& problem : inventory.problems)
    if (problem.fatal)
      throw Error(where + ": " + problem.what, problem.fix.empty() ? "nothing was changed" : problem.fix);
}

/// The store in use.
Inventory read_there(const ImportSite& site) {
  std::string name = name_of(site.kind), path = site.root.path + "/" + name;
  auto home = driver_entry(site.kind).open(path, site.settings);
  auto place = site.dir.try_stat(name);
  if (place && !S_ISDIR(place->st_mode))
    throw Error("`" + path + "` is no directory but " + (S_ISLNK(place->st_mode) ? "a symlink" : "a file") +
                    ", and drover follows none in a data root",
                "put the directory itself in its place, and try again");
  Inventory there = read_inventory(site.dir, site.kind, place ? home.get() : nullptr);
  // Without a home there is no layer, whatever the records say.
  if (!place && !there.layers.empty()) there = read_inventory(site.dir, site.kind, home.get());
  refuse_damage(there, "the store of " + name + " in `" + site.root.path + "` is damaged");
  return there;
}

/// A build's images know the one before them; one that stays out is not to be looked for.
void forget_parents(const Dir& records, const std::set<Digest>& gone) {
  Dir metadata = records.walk("imagedb/metadata/sha256");
  for (const DirEntry& image : metadata.list())
    if (auto parent = metadata.sub(image.name).try_read("parent"))
      if (auto id = store::parse_digest(*parent); id && gone.contains(*id))
        metadata.sub(image.name).unlink("parent");
}

/// What was received, and what becomes of it: from when the archive is read to when its records are placed.
class Import {
 public:
  Import(const DataRoot& root, MigrationFolder& folder, unsigned threads, Progress& progress)
      : root_(root),
        folder_(folder),
        site_{root,
              Dir::open(root.path),
              folder.dir().make_path(kIncoming, 0700),
              std::string(kIncoming) + "/",
              folder.record().to,
              folder.record().to_home,
              threads},
        progress_(progress) {}

  /// Everything up to the first change to the data root.
  ImportRecord prepare(ByteSource& stream, OnConflict how) {
    Inventory there = read_there(site_);
    std::map<Digest, LayerId> known;
    for (const auto& [id, layer] : there.layers) known.emplace(id, layer.cache_id);
    IncomingStore store(site_.incoming.clone(), site_.kind, known);
    std::vector<std::string> notes = receive_archive(stream, store, progress_);
    Inventory incoming = read_incoming();
    refuse_damage(incoming, "the archive does not hold together");
    auto containers = site_.dir.try_sub(kContainers);
    Settled settled = settle_conflicts(
        incoming, there, how, [&](const std::string& id) { return containers && containers->exists(id); });
    leave_out(incoming, settled);
    for (const auto& [id, container] : incoming.containers)
      if (!settled.skipped.contains(id)) rewrite_container(id, settled);
    ImportRecord record = plan_import(site_, read_incoming(), there, settled);
    record.summary.notes.insert(record.summary.notes.begin(), notes.begin(), notes.end());
    record.unreadable_before = unreadable_names(site_.dir, site_.kind);
    return record;
  }

  /// Makes the layers, places the records. What was made of the layers before is made anew.
  void carry_out(ImportRecord& record) {
    if (folder_.state() != MigrationState::committing) {
      require_names_free(site_.dir, folder_, record, site_.incoming);
      require_places_sound(site_.dir, folder_, record, LiveHome(root_, folder_.record()).driver());
      if (folder_.state() == MigrationState::staging) {
        Inventory incoming = read_incoming();
        refuse_damage(incoming, "what was read of the archive is damaged by now");
        stage(incoming, record);
        folder_.set_state(MigrationState::switching);
      }
      require_shared_there(site_, record);
      progress_.phase("placing Docker's records");
      make_record_folders(site_.dir, record.made_dirs, site_.settings.owner);
      place_import(site_.dir, folder_, record);
      // From here on there is no way back: what was replaced goes.
      folder_.set_state(MigrationState::committing);
    }
    LiveHome home(root_, folder_.record());
    remove_replaced(home, record);
    home.driver().close();
    folder_.end();
  }

 private:
  std::string records() const { return "image/" + name_of(site_.kind); }
  Inventory read_incoming() const {
    auto home = IncomingStore::open_home(site_.incoming);
    return read_inventory(site_.incoming, site_.kind, home.get());
  }

  /// Removes what stays out, and layers that nothing else needs.
  void leave_out(const Inventory& incoming, const Settled& settled) {
    Dir containers = site_.incoming.sub(kContainers), records = site_.incoming.walk(this->records());
    auto home = IncomingStore::open_home(site_.incoming);
    for (const std::string& id : settled.skipped) {
      containers.remove_tree(id);
      records.walk("layerdb/mounts").remove_tree(id);
      const MountRecord& mount = incoming.mounts.at(id);
      home->remove(mount.mount_id);
      if (mount.init_id) home->remove(*mount.init_id);
    }
    for (const Digest& id : settled.skipped_images) {
      records.walk("imagedb/content/sha256").unlink(id);
      records.walk("imagedb/metadata/sha256").remove_tree(id);
    }
    forget_parents(records, settled.skipped_images);
    std::set<Digest> needed;
    auto need = [&](std::optional<Digest> layer) {
      for (; layer && needed.insert(*layer).second; layer = incoming.layers.at(*layer).parent) {
      }
    };
    for (const auto& [id, image] : incoming.images)
      if (!settled.skipped_images.contains(id)) need(image.top);
    for (const auto& [id, mount] : incoming.mounts)
      if (!settled.skipped.contains(id)) need(mount.parent);
    for (const auto& [id, layer] : incoming.layers)
      if (!needed.contains(id)) {
        records.walk("layerdb/sha256").remove_tree(id);
        home->remove(layer.cache_id);
      }
  }

  /// For this data root and driver, under the ID and name that it is to have.
  void rewrite_container(const std::string& id, const Settled& settled) {
    Dir containers = site_.incoming.sub(kContainers),
        mounts = site_.incoming.walk(records() + "/layerdb/mounts");
    auto renamed = settled.ids.find(id);
    auto named = settled.names.find(id);
    ContainerHome home{renamed == settled.ids.end() ? id : renamed->second,
                       named == settled.names.end() ? "" : named->second, root_.path, site_.kind};
    Dir folder = containers.sub(id);
    rewrite_file(folder, kContainerConfig, config_for_home(folder.read(kContainerConfig), id, home));
    if (home.id == id) return;
    for (const DirEntry& entry : folder.list())
      if (entry.name.starts_with(id))
        folder.rename(entry.name, folder, home.id + entry.name.substr(id.size()));
    containers.rename(id, containers, home.id);
    mounts.rename(id, mounts, home.id);
  }

  void stage(const Inventory& incoming, const ImportRecord& record) {
    Inventory there = read_there(site_);
    require_shared_there(site_, record);
    LiveHome home(root_, folder_.record());
    home.open_for_layers(there, record);
    // Of a run that was cut.
    for (auto id = record.layers.rbegin(); id != record.layers.rend(); ++id)
      home.driver().remove(*id);  // what was only begun, too
    Plan plan = plan_layers(site_, incoming, there);
    auto source = IncomingStore::open_home(site_.incoming);
    LayerStager stager(site_.incoming, incoming, plan, *source, home.driver());
    progress_.phase("making and proving " + std::to_string(record.layers.size()) + " layers");
    std::set<LayerId> wanted(record.layers.begin(), record.layers.end());
    std::map<LayerId, std::size_t> made_by;
    std::vector<Task> tasks;
    std::mutex mutex;
    std::size_t done = 0;
    for (const PlannedLayer& layer : plan.layers) {
      if (!wanted.contains(layer.id)) continue;
      Task task{[&] {
                  with_context("the archive cannot be imported", [&] {
                    stager.stage(layer);
                    require_proven(layer, stager.prove(layer, false));
                  });
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
    run_tasks(tasks, site_.threads);
    home.finish_layers();
    require_written(site_.incoming);
    site_.dir.sync_fs();
  }

  const DataRoot& root_;
  MigrationFolder& folder_;
  ImportSite site_;
  Progress& progress_;
};

/// While nothing is placed there is nothing to keep: the archive can be read again. False: something stays.
bool give_up(const DataRoot& root, MigrationFolder& folder) {
  Uninterrupted to_the_end;
  try {
    roll_back_import(root, folder);
    return true;
  } catch (const std::exception& e) {
    log_warning(std::string("the import could not be cleared away: ") + e.what());
    return false;
  }
}

}  // namespace

std::optional<ImportSummary> import_archive(const DataRoot& root, ByteSource& stream,
                                            const ImportOptions& options, Progress& progress) {
  MigrationRecord what;
  what.from = what.to = options.to;
  what.config_path = options.config_path;
  what.from_home = what.to_home = options.settings;
  what.import = true;
  MigrationFolder folder = MigrationFolder::create(Dir::open(root.path), what);
  auto is_untouched = [&] {
    return folder.state() == MigrationState::reading || folder.state() == MigrationState::staging;
  };
  try {
    Import import(root, folder, options.threads, progress);
    ImportRecord record = import.prepare(stream, options.on_conflict);
    if (options.approve && !options.approve(record.summary)) {
      roll_back_import(root, folder);
      return std::nullopt;
    }
    folder.dir().sync_fs();  // from here on it can be gone on with
    write_import_record(folder.dir(), record);
    folder.set_state(MigrationState::staging);
    import.carry_out(record);
    return record.summary;
  } catch (const Error& e) {
    if (!is_untouched()) throw Error(e.code(), e.what(), with_next_step(e.hint(), folder));
    if (!give_up(root, folder))
      throw Error(e.code(), e.what(), "`drover rollback` clears the rest of the import away; then try again");
    bool of_migrations = e.hint().find("drover rollback") != std::string::npos ||
                         e.hint().find("drover migrate") != std::string::npos;
    throw Error(e.code(), e.what(), of_migrations || e.hint().empty() ? "nothing was changed" : e.hint());
  } catch (...) {
    if (is_untouched()) give_up(root, folder);
    throw;
  }
}

ImportSummary resume_import(const DataRoot& root, MigrationFolder& folder, unsigned threads,
                            Progress& progress) {
  if (folder.state() == MigrationState::rolling_back)
    throw Error("the import was being given up when that was interrupted",
                next_step(folder.record(), folder.state()));
  if (folder.state() == MigrationState::reading)
    throw Error("the import was interrupted before it had read all of its archive",
                next_step(folder.record(), folder.state()));
  ImportRecord record = require_import_record(folder.dir());
  try {
    // What the run that was cut has written down of its layers would hide those that an engine has made
    // since.
    if (folder.state() == MigrationState::staging) LiveHome(root, folder.record()).finish_layers();
    Import(root, folder, threads, progress).carry_out(record);
  } catch (const Error& e) {
    throw Error(e.code(), e.what(), with_next_step(e.hint(), folder));
  }
  return record.summary;
}

void require_reversible(const MigrationFolder& folder) {
  if (folder.state() == MigrationState::committing)
    throw Error("everything is imported already, and what it replaces is being removed",
                next_step(folder.record(), folder.state()));
}

namespace {
void take_all_back(const DataRoot& root, MigrationFolder& folder) {
  Dir dir = Dir::open(root.path);
  if (folder.state() != MigrationState::reading) {
    ImportRecord record = require_import_record(folder.dir());
    if (folder.state() == MigrationState::switching || folder.state() == MigrationState::rolling_back) {
      require_unused(dir, folder, record);
      if (folder.state() == MigrationState::switching) folder.set_state(MigrationState::rolling_back);
      take_back_import(dir, folder, record);
    }
    LiveHome home(root, folder.record());
    home.take_back(record);
    remove_record_folders(dir, record.made_dirs);
  }
  folder.end();
}
}  // namespace

void roll_back_import(const DataRoot& root, MigrationFolder& folder) {
  require_reversible(folder);
  naming_next_step(folder, [&] { take_all_back(root, folder); });
}

}  // namespace drover
