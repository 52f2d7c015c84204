#include "tests/support/sample_root.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "drivers/sys/sha256.hpp"
#include "tests/support/sample_config.hpp"
#include "tests/support/tar_split_writer.hpp"

namespace drover::test {

namespace {

/// The name of a layer's link below overlay2/l: 26 letters of base32, here drawn from its ID.
std::string link_name(const LayerId& id) {
  constexpr char kBase32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string digest = sha256_hex("link of " + id), name;
  for (std::size_t i = 0; i < 26; ++i) name += kBase32[std::stoul(digest.substr(2 * i, 2), nullptr, 16) % 32];
  return name;
}

/// What the engine puts between an image and a container's own layer (moby daemon/initlayer).
std::vector<SampleEntry> init_entries() {
  std::vector<SampleEntry> entries;
  for (const char* path : {"dev", "dev/pts", "dev/shm", "etc", "proc", "sys"})
    entries.push_back(directory(path));
  for (const char* path : {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"})
    entries.push_back(file(path, "", 0755));
  entries.push_back(symlink_to("etc/mtab", "/proc/mounts"));
  return entries;
}

/// "host:5000/app" of "host:5000/app:1"
std::string repository_of(const std::string& reference) {
  std::string name = reference.substr(0, reference.find('@'));
  std::size_t tag = name.rfind(':'), last = name.rfind('/');
  return tag == std::string::npos || (last != std::string::npos && tag < last) ? name : name.substr(0, tag);
}

}  // namespace

SampleRoot::SampleRoot(const std::string& path, Files files)
    : path_(path), files_(files), root_(Dir::open(path)) {
  root_.make_path("image", 0700);
  store_ = root_.make_path("image/overlay2", 0700);
  for (const char* part : {"imagedb", "imagedb/content", "imagedb/content/sha256", "imagedb/metadata",
                           "imagedb/metadata/sha256", "layerdb", "layerdb/sha256", "distribution"})
    store_.make_path(part, 0700);
  for (const char* part : {"layerdb/mounts", "layerdb/tmp"}) store_.make_path(part, 0755);
  root_.make_dir("containers", 0710);
  write_repositories();
  if (files_ == Files::none) return;
  root_.make_dir("overlay2", 0710);
  root_.make_path("overlay2/l", 0700);
}

Digest SampleRoot::add_layer(const std::optional<Digest>& parent, const std::vector<SampleEntry>& entries) {
  std::string tar = make_tar(entries);
  LayerRecord layer;
  layer.diff_id = sha256_hex(tar);
  layer.parent = parent;
  layer.chain_id = chain_id_of(parent, layer.diff_id);
  layer.cache_id = sha256_hex("cache ID of " + layer.chain_id);
  layer.has_tar_split = true;
  for (const SampleEntry& entry : entries)
    if (entry.kind == SampleEntry::Kind::file) layer.size_bytes += entry.data.size();
  Dir record = store_.make_path("layerdb/sha256/" + layer.chain_id, 0700);
  record.write_new("cache-id", layer.cache_id, 0644);
  record.write_new("diff", "sha256:" + layer.diff_id, 0644);
  if (parent) record.write_new("parent", "sha256:" + *parent, 0644);
  record.write_new("size", std::to_string(layer.size_bytes), 0644);
  record.write_new("tar-split.json.gz", gzip(split_tar(tar)), 0644);
  add_files(layer.cache_id, parent ? std::optional(layers_.at(*parent).cache_id) : std::nullopt, entries);
  tars_[layer.chain_id] = std::move(tar);
  return layers_.emplace(layer.chain_id, layer).first->first;
}

void SampleRoot::add_files(const LayerId& id, const std::optional<LayerId>& parent,
                           const std::vector<SampleEntry>& entries) {
  if (files_ == Files::none) return;
  Dir home = root_.sub("overlay2");
  Dir layer = home.make_path(id, 0710);
  layer.make_dir("diff", 0755);
  put_files(layer.sub("diff"), entries);
  layer.write_new("link", link_name(id), 0644);
  home.sub("l").make_symlink(link_name(id), "../" + id + "/diff");
  if (!parent) return;
  layer.make_dir("work", 0700);
  Dir below = home.sub(*parent);
  std::string lower = "l/" + link_name(*parent);
  if (auto more = below.try_read("lower")) lower += ":" + *more;
  layer.write_new("lower", lower, 0644);
  if (!below.exists("committed")) below.write_new("committed", "", 0600);
}

std::vector<Digest> SampleRoot::diff_ids_up_to(const Digest& top) const {
  std::vector<Digest> diff_ids;
  for (const LayerRecord* at = &layers_.at(top);; at = &layers_.at(*at->parent)) {
    diff_ids.push_back(at->diff_id);
    if (!at->parent) break;
  }
  std::reverse(diff_ids.begin(), diff_ids.end());
  return diff_ids;
}

Digest SampleRoot::add_image(const std::string& reference, const Digest& top, const std::string& command) {
  std::string config = image_config(diff_ids_up_to(top), command);
  Digest id = sha256_hex(config);
  store_.walk("imagedb/content/sha256").write_new(id, config, 0600);
  store_.make_path("imagedb/metadata/sha256/" + id, 0700)
      .write_new("lastUpdated", "2023-11-14T22:13:20Z", 0600);
  top_of_.emplace(id, top);
  command_of_.emplace(id, command);
  if (!reference.empty()) tag(reference, id);
  return id;
}

void SampleRoot::tag(const std::string& reference, const Digest& image) {
  references_[reference] = image;
  write_repositories();
}

void SampleRoot::write_repositories() {
  nlohmann::ordered_json repositories = nlohmann::ordered_json::object();
  for (const auto& [reference, image] : references_)
    repositories[repository_of(reference)][reference] = "sha256:" + image;
  store_.write_atomic("repositories.json", nlohmann::ordered_json{{"Repositories", repositories}}.dump(),
                      0600, ::getuid(), ::getgid());
}

std::string SampleRoot::add_container(const std::string& name, const Digest& image,
                                      const std::vector<SampleEntry>& changes, const std::string& output) {
  std::string id = sha256_hex("container " + name);
  const Digest& top = top_of_.at(image);
  MountRecord mount{id, sha256_hex("writable layer of " + name), std::nullopt, top};
  mount.init_id = mount.mount_id + "-init";
  Dir record = store_.make_path("layerdb/mounts/" + id, 0755);
  record.write_new("mount-id", mount.mount_id, 0644);
  record.write_new("init-id", *mount.init_id, 0644);
  record.write_new("parent", "sha256:" + top, 0644);
  add_files(*mount.init_id, layers_.at(top).cache_id, init_entries());
  add_files(mount.mount_id, mount.init_id, changes);

  SampleContainer container{id, name, path_ + "/containers/" + id, image, image, command_of_.at(image)};
  for (const auto& [reference, target] : references_)
    if (target == image) container.image_reference = reference;
  Dir dir = root_.make_path("containers/" + id, 0710);
  dir.make_dir("checkpoints", 0700);
  dir.make_dir("mounts", 0710);
  dir.write_new("config.v2.json", container_config(container), 0600);
  dir.write_new("hostconfig.json", host_config(), 0644);
  dir.write_new("hostname", short_id(id) + "\n", 0644);
  dir.write_new("hosts", "127.0.0.1\tlocalhost\n", 0644);
  dir.write_new("resolv.conf", "", 0644);
  dir.write_new(id + "-json.log", json_log(output), 0640);
  mounts_.emplace(id, std::move(mount));
  return id;
}

}  // namespace drover::test
