#include "migrate/archive/export.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <map>
#include <set>

#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/view.hpp"
#include "migrate/archive/archive_stream.hpp"
#include "migrate/archive/changes_writer.hpp"
#include "migrate/archive/container_config.hpp"
#include "migrate/archive/export_scope.hpp"
#include "migrate/archive/layer_amendments.hpp"
#include "migrate/archive/oci_layout.hpp"
#include "migrate/layer_changes.hpp"
#include "migrate/preflight.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"
#include "migrate/tar_split.hpp"

namespace drover {

namespace {

// What an archive says, whatever driver and data root it is of: the same content is the same archive.
constexpr DriverKind kNeutralDriver = DriverKind::overlay2;
constexpr const char* kNeutralRoot = "/var/lib/docker";

/// A layer's tar as its recipe has it, where content is passed over: nobody reads it to know the headers.
class RecipeSource : public ByteSource {
 public:
  explicit RecipeSource(Fd gz) : recipe_(std::move(gz)) {}
  std::size_t read(char* to, std::size_t size) override {
    while (segment_.size() == at_ && content_ == 0) {
      if (!recipe_.next(entry_)) return 0;
      at_ = 0;
      segment_.clear();
      if (entry_.kind == TarSplitEntry::Kind::segment)
        segment_.swap(entry_.bytes);
      else if (!entry_.empty_crc)
        content_ = entry_.size;
    }
    if (content_ > 0) {
      std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(size, content_));
      content_ -= n;
      std::memset(to, 0, n);
      return n;
    }
    std::size_t n = segment_.copy(to, size, at_);
    at_ += n;
    return n;
  }

 private:
  TarSplitReader recipe_;
  TarSplitEntry entry_;
  std::string segment_;
  std::size_t at_ = 0;
  std::uint64_t content_ = 0;
};

/// Writes a container's folder, with another text in place of its configuration.
class FolderWriter : public ChangeSink {
 public:
  FolderWriter(std::string config, ByteSink to)
      : config_(std::move(config)), changes_(Marks::none, std::move(to)) {}
  void enter(const Node& node, bool hides_past) override {
    ++depth_;
    changes_.enter(node, hides_past);
  }
  void leave() override {
    --depth_;
    changes_.leave();
  }
  void put(const Node& node) override {
    if (depth_ == 1 && node.name == kContainerConfig)
      changes_.put_text(node, config_);
    else
      changes_.put(node);
  }
  void remove(std::string_view name) override { changes_.remove(name); }
  void finish() { changes_.finish(); }

 private:
  std::string config_;
  ChangesWriter changes_;
  int depth_ = 0;
};

class Exporter {
 public:
  Exporter(const Dir& root, const Driver& home, const Inventory& inventory, const ByteSink& to,
           Progress& progress)
      : root_(root), home_(home), inventory_(inventory), archive_(to), progress_(progress) {}

  ExportResult run(const std::vector<std::string>& names) {
    head_ = choose_for_export(root_, inventory_, names);
    progress_.phase("exporting " + std::to_string(head_.images.size()) + " images, " +
                    std::to_string(head_.containers.size()) + " containers and " +
                    std::to_string(head_.layers.size()) + " layers");
    archive_.add(kArchiveHead, head_text(head_));
    write_images();
    total_ = head_.layers.size() + head_.containers.size();
    for (const ArchivedLayer& layer : head_.layers) write_layer(layer);
    for (const ArchivedContainer& container : head_.containers) write_container(container);
    archive_.finish();
    result_.images = head_.images.size();
    result_.containers = head_.containers.size();
    result_.layers = head_.layers.size();
    return std::move(result_);
  }

 private:
  void write_images() {
    Dir content =
        root_.sub("image").sub(driver_name(home_.kind())).sub("imagedb").sub("content").sub("sha256");
    std::map<Digest, std::uint64_t> tar_bytes;
    for (const ArchivedLayer& layer : head_.layers) tar_bytes.emplace(layer.diff_id, layer.tar_bytes);
    std::vector<LayoutImage> images;
    std::vector<std::string> configs;
    for (const ArchivedImage& image : head_.images) {
      configs.push_back(content.read(image.id, store::kJsonLimit));
      LayoutImage one{image.id, configs.back().size(), image.references, {}};
      for (const Digest& diff_id : inventory_.images.at(image.id).diff_ids)
        one.layers.emplace_back(diff_id, tar_bytes.at(diff_id));
      images.push_back(std::move(one));
    }
    for (const auto& [name, text] : layout_files(images)) archive_.add(name, text);
    for (std::size_t i = 0; i < images.size(); ++i) archive_.add(blob_name(images[i].id), configs[i]);
  }

  void write_layer(const ArchivedLayer& layer) {
    check_interrupted();
    std::string name = "layer " + short_id(layer.chain_id);
    with_context(name, [&] {
      write_tar(layer, tars_.insert(layer.diff_id).second);
      std::string folder = "drover/layers/" + layer.chain_id;
      write_tar_split(layer, folder + "/tar-split.json.gz");
      write_amendments(layer, folder);
    });
    progress_.step(name, ++done_, total_);
  }

  Fd recipe_of(const ArchivedLayer& layer) {
    auto gz = open_tar_split(root_, home_.kind(), layer.chain_id);
    if (!gz) throw Error("its tar-split.json.gz has gone", "is something still using this data root?");
    return std::move(*gz);
  }

  /// It is compressed as it is, with whatever stands behind its end.
  void write_tar_split(const ArchivedLayer& layer, const std::string& name) {
    Fd gz = recipe_of(layer);
    struct stat st;
    if (::fstat(gz.get(), &st) != 0) throw_errno("cannot read " + name);
    FdSource source(gz.get(), "tar-split.json.gz");
    archive_.begin(name, static_cast<std::uint64_t>(st.st_size));
    std::string block(64 << 10, '\0');
    while (std::size_t n = source.read(block.data(), block.size())) {
      check_interrupted();
      archive_.write({block.data(), n});
    }
    archive_.end();
  }

  /// `is_new`: no other layer has written this tar. It is put together of each layer's own files all the
  /// same.
  void write_tar(const ArchivedLayer& layer, bool is_new) {
    View view(home_, inventory_.layers.at(layer.chain_id).cache_id);
    if (is_new) archive_.begin(blob_name(layer.diff_id), layer.tar_bytes);
    TarSplitReader recipe(recipe_of(layer));
    Rebuilt rebuilt = rebuild_tar(
        recipe,
        [&](const std::string& path) -> std::optional<Fd> {
          check_interrupted();
          auto clean = clean_tar_name(path);
          return clean ? view.open(*clean) : std::nullopt;
        },
        [&](std::string_view bytes) {
          if (is_new) archive_.write(bytes);
        });
    const char* kNext = "`drover verify` tells more; what is sound can be named to export it";
    if (!rebuilt.problem.empty())
      throw Error(ExitCode::proof_failed, "it is damaged: " + rebuilt.problem, kNext);
    if (rebuilt.digest != layer.diff_id)
      throw Error(ExitCode::proof_failed, "its tar, put together again, does not have its diff ID", kNext);
    if (!is_new) return;
    archive_.end();
    result_.tar_bytes += layer.tar_bytes;
  }

  void write_amendments(const ArchivedLayer& layer, const std::string& folder) {
    RecipeSource headers(recipe_of(layer));
    TarReader tar(headers);
    LayerModel model(tar);
    const LayerRecord& record = inventory_.layers.at(layer.chain_id);
    OpenLayer own = home_.open(record.cache_id);
    PartWriter parts(archive_, folder + "/changes");
    LayerAmendments amendments(model, own.root, home_.marks(),
                               [&](std::string_view bytes) { parts.write(bytes); });
    std::optional<LayerId> base;
    if (record.parent) base = inventory_.layers.at(*record.parent).cache_id;
    read_changes({.driver = home_,
                  .id = record.cache_id,
                  .base = base,
                  .root_may_hide = true,
                  .data_root = &root_,
                  .records = home_.kind(),
                  .chain_id = layer.chain_id},
                 amendments);
    amendments.finish();
    parts.finish();
  }

  void write_container(const ArchivedContainer& container) {
    check_interrupted();
    const ContainerRecord& record = inventory_.containers.at(container.id);
    std::string name = "container " + display_name(record);
    with_context(name, [&] {
      std::string folder = "drover/containers/" + container.id;
      write_folder(container, folder);
      const MountRecord& mount = inventory_.mounts.at(container.id);
      std::optional<LayerId> image;
      if (mount.parent) image = inventory_.layers.at(*mount.parent).cache_id;
      if (mount.init_id) write_changes(*mount.init_id, image, folder + "/init");
      write_changes(mount.mount_id, mount.init_id ? mount.init_id : image, folder + "/writable");
    });
    progress_.step(name, ++done_, total_);
  }

  void write_changes(const LayerId& id, const std::optional<LayerId>& base, const std::string& prefix) {
    PartWriter parts(archive_, prefix);
    ChangesWriter changes(home_.marks(), [&](std::string_view bytes) { parts.write(bytes); });
    read_changes({.driver = home_, .id = id, .base = base}, changes);
    changes.finish();
    parts.finish();
  }

  /// The container's folder. Its configuration is told for no driver and no place of its own.
  void write_folder(const ArchivedContainer& container, const std::string& prefix) {
    Dir folder = root_.sub(kContainers).sub(container.id);
    std::string config = folder.read(kContainerConfig, store::kJsonLimit);
    Attachments needs = attachments_of(config);
    std::string who = "container " + display_name(inventory_.containers.at(container.id));
    for (const std::string& volume : needs.volumes)
      result_.notes.push_back(who + " uses the volume `" + printable(volume) +
                              "`: no archive carries volumes");
    for (const std::string& network : needs.networks)
      result_.notes.push_back(who + " is attached to the network `" + printable(network) +
                              "`: no archive carries networks");
    PartWriter parts(archive_, prefix + "/folder");
    FolderWriter changes(
        config_for_home(config, container.id, {container.id, "", kNeutralRoot, kNeutralDriver}),
        [&](std::string_view bytes) { parts.write(bytes); });
    std::vector<OpenLayer> layers;
    layers.push_back({std::move(folder), nullptr});
    read_views(View(std::move(layers), Marks::none), nullptr, {}, changes);
    changes.finish();
    parts.finish();
  }

  const Dir& root_;
  const Driver& home_;
  const Inventory& inventory_;
  ArchiveWriter archive_;
  Progress& progress_;
  ArchiveHead head_;
  ExportResult result_;
  std::set<Digest> tars_;
  std::size_t done_ = 0, total_ = 0;
};

}  // namespace

ExportResult export_archive(const DataRoot& root, const ExportOptions& options, const ByteSink& to,
                            Progress& progress) {
  Dir dir = Dir::open(root.path);
  auto home = driver_entry(options.driver)
                  .open(root.path + "/" + std::string(driver_name(options.driver)), options.settings);
  Inventory inventory = read_inventory(dir, options.driver, home.get());
  refuse_running_containers(inventory);
  ExportResult result = Exporter(dir, *home, inventory, to, progress).run(options.names);
  home->close();
  return result;
}

}  // namespace drover
