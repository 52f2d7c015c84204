#include "migrate/archive/import_plan.hpp"

#include <algorithm>

#include "drivers/probe_backing.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/size_text.hpp"
#include "migrate/archive/container_config.hpp"
#include "migrate/archive/import_folders.hpp"
#include "migrate/archive/import_place.hpp"
#include "migrate/archive/incoming_store.hpp"
#include "migrate/preflight.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"
#include "migrate/survey.hpp"
#include "migrate/target_facts.hpp"

namespace drover {

namespace {

constexpr std::size_t kMostNamed = 20;

bool is_there_already(const PlannedLayer& layer, const Inventory& there) {
  return layer.chain_id && there.layers.contains(*layer.chain_id);
}

class ImportPlanner {
 public:
  ImportPlanner(const ImportSite& site, const Inventory& incoming, const Inventory& there)
      : site_(site), incoming_(incoming), there_(there), records_("image/" + name() + "/") {}

  ImportRecord run(const Settled& settled) {
    record_.made_home = !site_.dir.exists(name());
    record_.made_repositories = !is_there(site_.dir, records_ + "repositories.json");
    record_.tags = settled.tags;
    record_.old_tags = settled.old_tags;
    note_tags_that_led_nowhere();
    Plan plan = plan_layers(site_, incoming_, there_);
    for (const PlannedLayer& layer : plan.layers) {
      if (layer.role == LayerRole::image)
        ++(is_there_already(layer, there_) ? record_.summary.shared_layers : record_.summary.new_layers);
      if (is_there_already(layer, there_)) {
        record_.shared.emplace(*layer.chain_id, there_.layers.at(*layer.chain_id).cache_id);
        continue;
      }
      record_.layers.push_back(layer.id);
      if (layer.chain_id) move("layerdb/sha256/" + *layer.chain_id);
    }
    move_other_records();
    for (const std::string& id : settled.replaced) replace(id);
    require_places_free();
    record_.made_dirs = missing_record_folders(site_.dir, site_.kind, record_.moves);
    summarize(settled, plan);
    return std::move(record_);
  }

 private:
  std::string name() const { return std::string(driver_name(site_.kind)); }

  void move(const std::string& path) {
    record_.moves.emplace_back(site_.prefix + records_ + path, records_ + path);
  }

  bool is_new(const std::string& path) const {
    return is_there(site_.incoming, records_ + path) && !is_there(site_.dir, records_ + path);
  }

  /// Of a name that is set, and of an image that comes in: they are no reason to keep what is there, nor were
  /// they given since.
  void note_tags_that_led_nowhere() {
    auto records = site_.dir.try_walk("image/" + name());
    if (!records) return;
    for (const auto& [tag, id] : tags_in(*records))
      if (!there_.images.contains(id) && (record_.tags.contains(tag) || incoming_.images.contains(id)))
        record_.old_tags.emplace(tag, id);
  }

  /// What can be used is in the inventory, and shared. Anything else in the place of a record would win over
  /// the one that comes in, and be what the tags lead to.
  void require_places_free() const {
    std::set<std::string> leaving;
    for (const auto& [from, to] : record_.put_aside) leaving.insert(from);
    std::vector<std::string> taken;
    for (const auto& [from, to] : record_.moves)
      if (!leaving.contains(to) && is_there(site_.dir, to)) taken.push_back("`" + to + "`");
    if (taken.empty()) return;
    std::size_t all = taken.size();
    cut(taken);
    add_count_of_rest(taken, all);
    std::string list;
    for (const std::string& one : taken) list += (list.empty() ? "" : ", ") + one;
    throw Error("the store of " + name() + " in `" + site_.root.path +
                    "` has records that cannot be used in the place of those to be imported: " + list,
                "nothing was changed; move them elsewhere (`drover verify --driver " + name() +
                    "` says what is wrong with them), then import again");
  }

  void move_other_records() {
    for (const auto& [mount, record] : incoming_.mounts) move("layerdb/mounts/" + mount);
    for (const auto& [id, image] : incoming_.images) {
      if (there_.images.contains(id)) {
        record_.shared_images.insert(id);
        continue;
      }
      move("imagedb/content/sha256/" + id);
      if (std::string metadata = "imagedb/metadata/sha256/" + id; is_new(metadata)) move(metadata);
    }
    for (const char* kind :
         {"distribution/v2metadata-by-diffid/sha256", "distribution/diffid-by-digest/sha256"})
      if (is_there(site_.incoming, records_ + kind))
        for (const DirEntry& entry : site_.incoming.walk(records_ + kind).list())
          if (std::string path = std::string(kind) + "/" + entry.name; is_new(path)) move(path);
    for (const auto& [id, container] : incoming_.containers)
      record_.moves.emplace_back(site_.prefix + "containers/" + id, "containers/" + id);
  }

  void replace(const std::string& id) {
    auto container = there_.containers.find(id);
    if (container == there_.containers.end())
      throw Error("container " + short_id(id) + " cannot be replaced: it is one of another driver",
                  "nothing was changed; --on-conflict rename gives the imported one another ID");
    if (still_runs(container->second))
      throw Error(ExitCode::in_use,
                  "container " + display_name(container->second) + " still runs, without an engine",
                  "stop it first; nothing was changed");
    record_.summary.deletes.push_back(display_name(container->second));
    record_.put_aside.emplace_back("containers/" + id, "kept/containers/" + id);
    if (auto mount = there_.mounts.find(id); mount != there_.mounts.end()) {
      record_.put_aside.emplace_back(records_ + "layerdb/mounts/" + id, "kept/mounts/" + id);
      record_.replaced_layers.push_back(mount->second.mount_id);
      if (mount->second.init_id) record_.replaced_layers.push_back(*mount->second.init_id);
    }
  }

  void summarize(const Settled& settled, const Plan& plan) {
    ImportSummary& summary = record_.summary;
    summary.images = incoming_.images.size();
    summary.tags = record_.tags.size();
    summary.containers = incoming_.containers.size();
    summary.notes = settled.notes;
    summary.notes.insert(summary.notes.end(), plan.notes.begin(), plan.notes.end());
    for (const auto& [id, container] : incoming_.containers) note_attachments(container);
  }

  static void cut(std::vector<std::string>& names) {
    if (names.size() > kMostNamed) names.resize(kMostNamed);
  }

  void note_attachments(const ContainerRecord& container) {
    Attachments needs = attachments_of(
        site_.incoming.sub(kContainers).sub(container.id).read(kContainerConfig, store::kJsonLimit));
    cut(needs.volumes);
    cut(needs.networks);
    std::string who = "container " + display_name(container);
    auto volumes = site_.dir.try_sub("volumes");
    for (const std::string& volume : needs.volumes)
      if (volume.empty() || volume.find('/') != std::string::npos || !volumes || !volumes->exists(volume))
        record_.summary.notes.push_back(
            who + " uses the volume `" + printable(volume) +
            "`, which is not here: make it before the container is started (docker volume create)");
    for (const std::string& network : needs.networks)
      record_.summary.notes.push_back(
          who + " is attached to the network `" + printable(network) +
          "`, and no archive carries networks: see that there is one, and attach it anew (docker network "
          "disconnect -f, docker network connect)");
  }

  const ImportSite& site_;
  const Inventory &incoming_, &there_;
  std::string records_;
  ImportRecord record_;
};

}  // namespace

void require_shared_there(const ImportSite& site, const ImportRecord& record) {
  auto home =
      driver_entry(site.kind).open(site.root.path + "/" + std::string(driver_name(site.kind)), site.settings);
  Inventory there = read_inventory(site.dir, site.kind, record.shared.empty() ? nullptr : home.get());
  auto gone = [](const std::string& what) {
    return Error(what + " was there when the import began, and is not as it was",
                 "give the import up (drover rollback), then import the archive again");
  };
  for (const auto& [chain, id] : record.shared)
    if (auto layer = there.layers.find(chain); layer == there.layers.end() || layer->second.cache_id != id)
      throw gone("layer " + short_id(chain));
  for (const Digest& id : record.shared_images)
    if (!there.images.contains(id)) throw gone("image " + short_id(id));
}

Plan plan_layers(const ImportSite& site, const Inventory& incoming, const Inventory& there) {
  auto source = IncomingStore::open_home(site.incoming);
  Survey survey = survey_layers(site.incoming, incoming, *source, site.threads);
  auto target =
      driver_entry(site.kind).open(site.root.path + "/" + std::string(driver_name(site.kind)), site.settings);
  // The layers are made in the home in use, and behind no symlink of it.
  for (const auto& [id, facts] : survey.facts)
    if (auto link = target->symlink_to(id)) throw link->refusal();
  Plan plan = make_plan(incoming, source->form(), survey.facts,
                        facts_of_home(*target, *source, site.root.path, probe_backing(site.root.path)));
  // What is there already is not made again.
  for (const PlannedLayer& layer : plan.layers)
    if (is_there_already(layer, there)) {
      const LayerFacts& known = survey.facts.at(layer.id);
      plan.needed_bytes -= std::min(plan.needed_bytes, known.bytes);
      plan.needed_inodes -= std::min(plan.needed_inodes, known.entries);
    }
  if (plan.fits()) return plan;
  bool bytes = plan.needed_bytes > plan.free_bytes;
  throw Error(bytes ? "not enough room on " + plan.place + ": up to " + human_size(plan.needed_bytes) +
                          " is needed, " + human_size(plan.free_bytes) + " is free"
                    : "not enough inodes on " + plan.place + ": up to " + std::to_string(plan.needed_inodes) +
                          " are needed, " + std::to_string(plan.free_inodes) + " are free",
              "nothing was changed; make room and try again");
}

ImportRecord plan_import(const ImportSite& site, const Inventory& incoming, const Inventory& there,
                         const Settled& settled) {
  return ImportPlanner(site, incoming, there).run(settled);
}

}  // namespace drover
