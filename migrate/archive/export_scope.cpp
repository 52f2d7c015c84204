#include "migrate/archive/export_scope.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/find_by_name.hpp"
#include "migrate/store_parts.hpp"
#include "migrate/tar_split.hpp"

namespace drover {

namespace {

constexpr std::size_t kRecordLimit = 1 << 20;

/// IDs.
struct NamedThings {
  std::set<Digest> images;
  std::set<std::string> containers;
};

class Choice {
 public:
  Choice(const Dir& data_root, const Inventory& inventory)
      : store_(data_root.sub("image").sub(driver_name(inventory.driver))),
        data_root_(data_root),
        inventory_(inventory) {}

  ArchiveHead of(const NamedThings& named) {
    std::set<Digest> images = named.images;
    for (const std::string& id : named.containers)
      if (auto image = inventory_.containers.at(id).image; image && inventory_.images.contains(*image))
        images.insert(*image);
    for (const Digest& id : images) add_image(inventory_.images.at(id));
    for (const std::string& id : named.containers) add_container(inventory_.containers.at(id));
    // An image that is not in the archive cannot be told of as a parent.
    for (ArchivedImage& image : head_.images)
      if (image.parent && !images.contains(*image.parent)) image.parent.reset();
    return std::move(head_);
  }

 private:
  void add_image(const ImageRecord& record) {
    ArchivedImage image{record.id, record.references, std::nullopt, ""};
    auto metadata = store_.sub("imagedb").try_sub("metadata");
    if (metadata) metadata = metadata->try_sub("sha256");
    if (metadata) metadata = metadata->try_sub(record.id);
    if (metadata) {
      if (auto parent = store::read_word(*metadata, "parent").text)
        image.parent = store::parse_digest(*parent);
      image.last_updated = store::read_word(*metadata, "lastUpdated").text.value_or("");
    }
    head_.images.push_back(std::move(image));
    add_layers(record.top, "image " + display_name(record));
  }

  void add_layers(std::optional<Digest> top, const std::string& whose) {
    std::vector<const LayerRecord*> chain;
    for (; top && !layers_.contains(*top); top = chain.back()->parent)
      chain.push_back(&inventory_.layers.at(*top));
    for (auto layer = chain.rbegin(); layer != chain.rend(); ++layer) {
      layers_.insert((*layer)->chain_id);
      head_.layers.push_back({(*layer)->chain_id, (*layer)->diff_id, (*layer)->parent, (*layer)->size_bytes,
                              tar_size(**layer, whose)});
      add_distribution((*layer)->diff_id);
    }
  }

  std::uint64_t tar_size(const LayerRecord& layer, const std::string& whose) {
    std::string name = "layer " + short_id(layer.chain_id) + " of " + whose;
    auto gz = open_tar_split(data_root_, inventory_.driver, layer.chain_id);
    if (!gz)
      throw Error(
          name + " has no tar-split.json.gz, so that the tar that it came from cannot be put together again",
          "carry it with `drover migrate`, or name the images and containers to export without it");
    return with_context(name, [&] {
      std::uint64_t size = 0;
      TarSplitReader recipe(std::move(*gz));
      for (TarSplitEntry entry; recipe.next(entry);)
        size += entry.kind == TarSplitEntry::Kind::segment ? entry.bytes.size()
                : entry.empty_crc                          ? 0
                                                           : entry.size;
      return size;
    });
  }

  void add_distribution(const Digest& diff_id) {
    auto folder = store_.try_sub("distribution");
    if (!folder) return;
    auto take = [&](const std::string& kind, const Digest& digest) -> std::optional<std::string> {
      auto in = folder->try_sub(kind);
      if (in) in = in->try_sub("sha256");
      if (!in) return std::nullopt;
      auto text = store::read_record_file(*in, digest, kRecordLimit).text;
      if (text) head_.distribution.emplace(kind + "/sha256/" + digest, *text);
      return text;
    };
    auto sources = take("v2metadata-by-diffid", diff_id);
    if (!sources) return;
    auto list = try_parse_json(*sources);
    if (!list || !list->is_array()) return;
    for (const auto& source : *list)
      if (source.is_object() && source.contains("Digest") && source["Digest"].is_string())
        if (auto digest = store::parse_digest(source["Digest"].get<std::string>()))
          take("diffid-by-digest", *digest);
  }

  void add_container(const ContainerRecord& record) {
    const MountRecord& mount = inventory_.mounts.at(record.id);
    add_layers(mount.parent, "container " + display_name(record));
    head_.containers.push_back({record.id, record.name, mount.parent, mount.init_id.has_value()});
  }

  Dir store_;
  const Dir& data_root_;
  const Inventory& inventory_;
  ArchiveHead head_;
  std::set<Digest> layers_;
};

NamedThings things_of(const Inventory& inventory, const std::vector<std::string>& names) {
  NamedThings things;
  for (const std::string& name : names) {
    Subject subject = find_subject(inventory, name);
    if (subject.image) things.images.insert(*subject.image);
    if (subject.container) things.containers.insert(*subject.container);
  }
  return things;
}

/// Everything, if all of it is sound.
NamedThings all_things(const Inventory& inventory) {
  for (const StoreProblem& problem : inventory.problems)
    if (problem.fatal)
      throw Error(
          ExitCode::proof_failed, "the store is damaged: " + problem.what,
          problem.fix.empty() ? "`drover verify` lists all damage; what is sound can be named" : problem.fix);
  NamedThings all;
  for (const auto& [id, image] : inventory.images) all.images.insert(id);
  for (const auto& [id, container] : inventory.containers) all.containers.insert(id);
  return all;
}

}  // namespace

ArchiveHead choose_for_export(const Dir& data_root, const Inventory& inventory,
                              const std::vector<std::string>& names) {
  return Choice(data_root, inventory).of(names.empty() ? all_things(inventory) : things_of(inventory, names));
}

}  // namespace drover
