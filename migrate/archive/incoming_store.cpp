#include "migrate/archive/incoming_store.hpp"

#include <fcntl.h>
#include <sys/random.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "drivers/attributes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/archive/container_config.hpp"
#include "migrate/archive/layer_unpacker.hpp"
#include "migrate/archive/room_guard.hpp"
#include "migrate/archive/tar_reader.hpp"
#include "migrate/archive/tar_split_writer.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

constexpr DriverKind kKind = DriverKind::overlay2;
constexpr const char* kTarSplit = "tar-split.json.gz";

/// Passes bytes on and hashes them.
class HashingSource : public ByteSource {
 public:
  explicit HashingSource(ByteSource& from) : from_(from) {}
  std::size_t read(char* to, std::size_t size) override {
    std::size_t n = from_.read(to, size);
    sha256_.update({to, n});
    return n;
  }
  std::string hex() { return sha256_.hex(); }

 private:
  ByteSource& from_;
  Sha256 sha256_;
};

/// An engine follows what it finds in a container's folder, and puts nothing but files and folders there.
void require_plain_files(const Dir& folder, int depth) {
  constexpr int kDeepest = 16;
  if (depth > kDeepest) throw Error("its folder is nested too deep");
  for (const DirEntry& entry : folder.list()) {
    mode_t mode = folder.stat(entry.name).st_mode;
    if (S_ISDIR(mode))
      require_plain_files(folder.sub(entry.name), depth + 1);
    else if (!S_ISREG(mode))
      throw Error("`" + printable(entry.name) + "` in its folder is neither a file nor a folder");
  }
}

/// The name that was checked and settled must be the one that an engine will read.
void require_name(const std::string& config, const std::string& name) {
  auto json = with_context("its config.v2.json", [&] {
    auto parsed = store::parse_json(config);
    store::require_one_spelling(parsed);
    return parsed;
  });
  if (!json.is_object() || json.value("Name", nlohmann::json()) != "/" + name)
    throw Error("its config.v2.json gives it another name than `" + printable(name) + "`");
}

void apply_stream(LayerUnpacker& unpacker, ByteSource& changes) {
  TarReader tar(changes);
  unpacker.apply_changes(tar);
  drain(changes);
}

}  // namespace

std::string random_id() {
  unsigned char bytes[32];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
    throw_errno("cannot get random bytes");
  return sha256_hex({reinterpret_cast<const char*>(bytes), sizeof bytes});
}

std::string repository_of(const std::string& reference) {
  std::string name = reference.substr(0, reference.find('@'));
  std::size_t tag = name.rfind(':'), last = name.rfind('/');
  return tag == std::string::npos || (last != std::string::npos && tag < last) ? name : name.substr(0, tag);
}

void rewrite_file(const Dir& folder, const std::string& name, const std::string& text) {
  struct stat above = folder.stat(), st = folder.stat(name);
  std::vector<Xattr> xattrs = folder.xattrs(name), above_xattrs = folder.xattrs("");
  folder.unlink(name);
  folder.write_new(name, text, 0600);
  set_attributes(folder, name, st, xattrs, true);
  set_attributes(folder, "", above, above_xattrs, false);
}

std::string repositories_text(const std::map<std::string, Digest>& references) {
  nlohmann::json repositories = nlohmann::json::object();
  for (const auto& [reference, id] : references)
    repositories[repository_of(reference)][reference] = "sha256:" + id;
  return nlohmann::json{{"Repositories", repositories}}.dump(-1, ' ', false,
                                                             nlohmann::json::error_handler_t::replace);
}

std::unique_ptr<Driver> IncomingStore::open_home(const Dir& folder) {
  return driver_entry(kKind).open(folder.path() + "/layers", {});
}

IncomingStore::IncomingStore(Dir folder, DriverKind for_driver, std::map<Digest, LayerId> known)
    : folder_(std::move(folder)), for_(for_driver), known_(std::move(known)) {
  // With the modes that an engine gives them (moby image/fs.go, layer/filestore.go).
  folder_.make_path(kImage, 0700);
  records_ = folder_.sub(kImage).make_path(driver_name(for_), 0700);
  for (const char* part :
       {"imagedb/content/sha256", "imagedb/metadata/sha256", "layerdb/sha256", "distribution"})
    records_.make_path(part, 0700);
  records_.make_path("layerdb/mounts", 0755);
  folder_.make_dir(kContainers, 0710);
  home_ = open_home(folder_);
  home_->make_home();
}

OpenLayer IncomingStore::create(const LayerId& id, const std::optional<LayerId>& parent) {
  return home_->create(id, parent, {});
}

void IncomingStore::add_layer(const ArchivedLayer& layer, const LayerSources& sources) {
  std::optional<LayerId> parent;
  if (layer.parent) parent = cache_ids_.at(*layer.parent);
  auto known = known_.find(layer.chain_id);
  LayerId id = known == known_.end() ? random_id() : known->second;
  OpenLayer made = create(id, parent);
  std::optional<View> below;
  if (parent) below.emplace(*home_, *parent);
  Dir record = records_.make_path("layerdb/sha256/" + layer.chain_id, 0700);
  Fd split = record.open_file(kTarSplit, O_WRONLY | O_CREAT | O_EXCL, 0644);
  bool write_split = !sources.tar_split;

  HashingSource hashed(*sources.tar);
  std::optional<TarSplitWriter> splitter;
  if (write_split) splitter.emplace(split.get());
  LayerUnpacker unpacker(made.root, below ? &*below : nullptr);
  TarReader tar(hashed, splitter ? &*splitter : nullptr);
  unpacker.apply_layer(tar);
  if (splitter) {
    observe_rest(hashed, *splitter);
    splitter->finish();
  } else {
    drain(hashed);
  }
  if (hashed.hex() != layer.diff_id)
    throw Error(ExitCode::proof_failed, "its tar does not have the diff ID " + short_id(layer.diff_id));
  std::uint64_t bytes = unpacker.content_bytes();
  if (!write_split) {
    RoomGuard room(record);
    sources.tar_split([&](std::string_view block) {
      write_all(split.get(), block, kTarSplit);
      room.wrote(block.size());
    });
  }
  if (sources.changes) apply_stream(unpacker, *sources.changes);
  unpacker.finish();
  home_->seal(id);

  record.write_new("cache-id", id, 0644);
  record.write_new("diff", "sha256:" + layer.diff_id, 0644);
  if (layer.parent) record.write_new("parent", "sha256:" + *layer.parent, 0644);
  record.write_new("size", std::to_string(write_split ? bytes : layer.size_bytes), 0644);
  cache_ids_.emplace(layer.chain_id, id);
}

void IncomingStore::add_image(const ArchivedImage& image, const std::string& config) {
  if (sha256_hex(config) != image.id)
    throw Error(ExitCode::proof_failed,
                "the configuration of image " + short_id(image.id) + " does not match its ID");
  Dir images = records_.sub("imagedb").sub("content").sub("sha256");
  if (!images.exists(image.id)) images.write_new(image.id, config, 0600);
  if (image.parent || !image.last_updated.empty()) {
    Dir metadata = records_.make_path("imagedb/metadata/sha256/" + image.id, 0700);
    if (image.parent && !metadata.exists("parent"))
      metadata.write_new("parent", "sha256:" + *image.parent, 0600);
    if (!image.last_updated.empty() && !metadata.exists("lastUpdated"))
      metadata.write_new("lastUpdated", image.last_updated, 0600);
  }
  for (const std::string& reference : image.references)
    if (auto [at, is_new] = references_.emplace(reference, image.id); !is_new && at->second != image.id)
      throw Error("it gives one tag to two images");
}

void IncomingStore::add_distribution(const std::map<std::string, std::string>& records) {
  Dir distribution = records_.sub("distribution");
  for (const auto& [path, content] : records) {
    std::size_t cut = path.rfind('/');
    distribution.make_path(path.substr(0, cut), 0755).write_new(path.substr(cut + 1), content, 0644);
  }
}

void IncomingStore::begin_container(const ArchivedContainer& container) {
  mount_id_ = random_id();
  Dir record = records_.make_path("layerdb/mounts/" + container.id, 0755);
  record.write_new("mount-id", mount_id_, 0644);
  if (container.has_init) record.write_new("init-id", mount_id_ + "-init", 0644);
  if (container.parent) record.write_new("parent", "sha256:" + *container.parent, 0644);
  folder_.sub(kContainers).make_dir(container.id, 0710);
}

void IncomingStore::add_container_folder(const ArchivedContainer& container, ByteSource& changes) {
  Dir folder = folder_.sub(kContainers).sub(container.id);
  LayerUnpacker unpacker(folder, nullptr);
  apply_stream(unpacker, changes);
  unpacker.finish();
  require_plain_files(folder, 0);
  std::string config = folder.read(kContainerConfig, store::kJsonLimit);
  require_name(config, container.name);
  rewrite_file(folder, kContainerConfig, config_for_driver(config, for_));
}

void IncomingStore::add_container_layer(const ArchivedContainer& container, bool init, ByteSource& changes) {
  std::optional<LayerId> parent;
  if (container.parent) parent = cache_ids_.at(*container.parent);
  if (!init && container.has_init) parent = mount_id_ + "-init";
  LayerId id = init ? mount_id_ + "-init" : mount_id_;
  OpenLayer made = create(id, parent);
  std::optional<View> below;
  if (parent) below.emplace(*home_, *parent);
  LayerUnpacker unpacker(made.root, below ? &*below : nullptr);
  apply_stream(unpacker, changes);
  unpacker.finish();
  home_->seal(id);
}

void IncomingStore::finish() {
  folder_.remove_tree("spool");
  records_.write_atomic("repositories.json", repositories_text(references_), 0600, ::geteuid(), ::getegid());
}

}  // namespace drover
