#include "migrate/archive/foreign_archive.hpp"

#include <fcntl.h>
#include <sys/utsname.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/archive/oci_layout.hpp"
#include "migrate/archive/room_guard.hpp"
#include "migrate/find_by_name.hpp"
#include "migrate/store_parts.hpp"
#include "migrate/tar_split.hpp"

namespace drover {

namespace {

using Value = nlohmann::json;

constexpr std::size_t kMostFiles = 100'000;
constexpr int kDeepestIndex = 4, kMostLinks = 8;
// What is kept of indexes, manifests and configurations grows with their size, which compressed is next to
// nothing.
constexpr std::size_t kMostJson = 128 << 20;

/// The files of an archive, put aside under numbers.
class Files {
 public:
  Files(ArchiveReader& archive, Dir folder) : folder_(std::move(folder)), room_(folder_) {
    while (const TarMember* member = archive.current()) {
      check_interrupted();
      auto path = clean_tar_name(member->name);
      if (!path) throw Error("`" + printable(member->name) + "` leads out of it");
      if (++count_ > kMostFiles) throw Error("it has more than " + std::to_string(kMostFiles) + " files");
      if (member->type == TarMember::Type::symlink || member->type == TarMember::Type::hard_link)
        links_[*path] = target_of(*path, *member);
      else if (member->type == TarMember::Type::regular)
        files_.insert_or_assign(*path, File{put_aside(archive), ""});
      std::string digest = archive.pass();
      if (auto file = files_.find(*path); file != files_.end()) file->second.sha256 = std::move(digest);
    }
  }

  bool has(const std::string& path) const { return find(path) != nullptr; }
  std::string text(const std::string& path) {
    Fd fd = open(path);
    FdSource source(fd.get(), "`" + printable(path) + "`");
    std::string text, block(64 << 10, '\0');
    while (std::size_t n = source.read(block.data(), block.size())) {
      if (text.size() + n > store::kJsonLimit) throw Error("`" + printable(path) + "` is too large");
      text.append(block, 0, n);
    }
    json_bytes_ += text.size();
    if (json_bytes_ > kMostJson)
      throw Error("it says more about its images than an archive may: " + std::to_string(kMostJson >> 20) +
                  " MiB");
    return text;
  }
  Fd open(const std::string& path) const {
    const File* file = find(path);
    if (!file) throw Error("it lacks `" + printable(path) + "`");
    return folder_.open_file(file->name);
  }
  const Digest& digest(const std::string& path) const {
    const File* file = find(path);
    if (!file) throw Error("it lacks `" + printable(path) + "`");
    return file->sha256;
  }
  /// A file below blobs/, whose name says what it is.
  std::string blob(const Digest& digest) const {
    std::string path = blob_name(digest);
    if (this->digest(path) != digest)
      throw Error(ExitCode::proof_failed, "`" + path + "` does not have the digest that it is called by");
    return path;
  }

 private:
  struct File {
    std::string name;  ///< where it was put aside
    std::string sha256;
  };

  std::string put_aside(ArchiveReader& archive) {
    std::string name = std::to_string(count_);
    Fd file = folder_.open_file(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    std::string block(std::clamp<std::uint64_t>(archive.current()->size, 1, 256 << 10), '\0');
    while (std::size_t n = archive.read(block.data(), block.size())) {
      check_interrupted();
      write_all(file.get(), {block.data(), n}, "a file of the archive");
      room_.wrote(n);
    }
    return name;
  }

  /// `docker save` has one layer in several places as symlinks ("../<ID>/layer.tar").
  static std::string target_of(const std::string& path, const TarMember& member) {
    if (member.type == TarMember::Type::hard_link) return clean_tar_name(member.target).value_or("");
    std::string folder = split_path(path).first, target = member.target;
    while (target.starts_with("../")) {
      target.erase(0, 3);
      folder = split_path(folder).first;
    }
    return clean_tar_name(folder.empty() ? target : folder + "/" + target).value_or("");
  }

  const File* find(std::string path) const {
    for (int i = 0; i < kMostLinks; ++i) {
      if (auto file = files_.find(path); file != files_.end()) return &file->second;
      auto link = links_.find(path);
      if (link == links_.end()) return nullptr;
      path = link->second;
    }
    return nullptr;
  }

  Dir folder_;
  RoomGuard room_;
  std::map<std::string, File> files_;
  std::map<std::string, std::string> links_;
  std::size_t count_ = 0, json_bytes_ = 0;
};

/// An image as an archive describes it.
struct ForeignImage {
  std::string config;               ///< path
  std::vector<std::string> layers;  ///< paths, bottom first
  std::vector<std::string> tags;
};

const Value& member(const Value& object, const char* key) {
  static const Value kNull;
  if (!object.is_object()) return kNull;
  auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string text_of(const Value& value, const char* what) {
  if (!value.is_string()) throw Error(std::string("it names no ") + what);
  return value.get<std::string>();
}

Digest digest_of(const Value& descriptor) {
  auto digest = store::parse_digest(text_of(member(descriptor, "digest"), "digest"));
  if (!digest) throw Error("a digest in it is none of sha256");
  return *digest;
}

/// Whether an engine takes this for a tag: a name, a colon, a tag (github.com/distribution/reference).
bool is_tag(const std::string& text) {
  std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || text.size() > 512) return false;
  std::string_view tag = std::string_view(text).substr(colon + 1),
                   name = std::string_view(text).substr(0, colon);
  auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  bool good_name =
      std::all_of(name.begin(), name.end(), [&](char c) { return word(c) || c == '/' || c == ':'; });
  return good_name && !tag.empty() && tag.size() <= 128 && tag[0] != '.' && tag[0] != '-' &&
         std::all_of(tag.begin(), tag.end(), word) && !name.starts_with('/') && !name.ends_with('/');
}

/// As Go calls it.
std::string host_architecture() {
  struct utsname host;
  if (::uname(&host) != 0) throw_errno("cannot tell this host's architecture");
  std::string machine = host.machine;
  if (machine == "x86_64") return "amd64";
  return machine == "aarch64" ? "arm64" : machine;
}

class ForeignArchive {
 private:
  template <class Use>
  auto in_json(const std::string& path, Use use) {
    return with_context("`" + printable(path) + "`",
                        [&] { return use(store::parse_json(files_.text(path))); });
  }

 public:
  ForeignArchive(ArchiveReader& archive, IncomingStore& store, Progress& progress)
      : files_(archive, store.spool()), store_(store), progress_(progress) {}

  std::vector<std::string> run() {
    if (files_.has("manifest.json"))
      in_json("manifest.json", [&](const Value& list) { docker_images(list); });
    else if (files_.has("index.json"))
      in_json("index.json", [&](const Value& index) { oci_images(index, "", 0); });
    else
      throw Error("it is neither drover's, nor one of `docker save`, nor an OCI image layout in a tar",
                  "it has no drover/archive.json, manifest.json or index.json");
    if (images_.empty()) throw Error("it holds no image");
    progress_.phase("reading " + std::to_string(images_.size()) + " images");
    std::size_t done = 0;
    for (const ForeignImage& image : images_) {
      add(image);
      progress_.step(image.tags.empty() ? "an image" : printable(image.tags.front()), ++done, images_.size());
    }
    return std::move(notes_);
  }

 private:
  /// [{"Config": path, "RepoTags": [...] or null, "Layers": [paths]}] (moby image/tarexport)
  void docker_images(const Value& list) {
    if (!list.is_array()) throw Error("is no list");
    for (const Value& item : list) {
      check_interrupted();
      std::vector<std::string> layers;
      for (const Value& layer : member(item, "Layers")) layers.push_back(path_of(layer));
      ForeignImage& image = images_[image_of(path_of(member(item, "Config")), std::move(layers))];
      for (const Value& tag : member(item, "RepoTags")) add_tag(image, text_of(tag, "tag"));
    }
  }

  /// One image may be told of several times, with other names each: it is read once. The number that it has.
  std::size_t image_of(const std::string& config, std::vector<std::string> layers) {
    auto [known, is_new] = by_config_.try_emplace(files_.digest(config), images_.size());
    if (is_new)
      images_.push_back({config, std::move(layers), {}});
    else if (images_[known->second].layers.size() != layers.size())
      throw Error("it names one image twice, with other layers");
    return known->second;
  }

  static std::string path_of(const Value& value) {
    auto path = clean_tar_name(text_of(value, "path"));
    if (!path) throw Error("a path in it leads out of it");
    return *path;
  }

  void add_tag(ForeignImage& image, const std::string& text) {
    if (is_tag(text))
      image.tags.push_back(familiar_reference(text));
    else
      notes_.push_back("`" + printable(text) + "` is no tag of an engine's: left out");
  }

  void oci_images(const Value& index, const std::string& tag, int depth) {
    if (depth > kDeepestIndex) throw Error("is nested too deep");
    const Value& manifests = member(index, "manifests");
    if (!manifests.is_array()) throw Error("has no list of manifests");
    for (const Value& descriptor : manifests) {
      check_interrupted();
      const Value& architecture = member(member(descriptor, "platform"), "architecture");
      if (depth > 0 && architecture.is_string() && architecture != host_architecture()) {
        notes_.push_back("an image for the architecture `" + printable(architecture.get<std::string>()) +
                         "` is left out");
        continue;
      }
      const Value& annotations = member(descriptor, "annotations");
      std::string name = tag;
      for (const char* key : {"org.opencontainers.image.ref.name", "io.containerd.image.name"})
        if (const Value& value = member(annotations, key); value.is_string()) name = value.get<std::string>();
      oci_manifest(digest_of(descriptor), name, depth);
    }
  }

  void oci_manifest(const Digest& digest, const std::string& name, int depth) {
    auto [known, is_new] = manifests_.try_emplace(digest);
    std::optional<std::size_t>& image = known->second;
    if (is_new)
      in_json(files_.blob(digest), [&](const Value& manifest) {
        if (member(manifest, "manifests").is_array())
          oci_images(manifest, name, depth + 1);
        else
          image = image_in(manifest);
      });
    if (image && !name.empty()) add_tag(images_[*image], name);
  }

  /// Nothing where it is none that an engine has.
  std::optional<std::size_t> image_in(const Value& manifest) {
    const Value& config = member(manifest, "config");
    std::string type = member(config, "mediaType").is_string() ? config["mediaType"].get<std::string>() : "";
    // What else a layout may hold (signatures, attestations) is no image.
    if (type != "application/vnd.oci.image.config.v1+json" &&
        type != "application/vnd.docker.container.image.v1+json") {
      notes_.push_back("a manifest of the type `" + printable(type) + "` is no image: left out");
      return std::nullopt;
    }
    std::vector<std::string> layers;
    for (const Value& layer : member(manifest, "layers")) {
      std::string media = text_of(member(layer, "mediaType"), "media type");
      if (media.find("tar") == std::string::npos && media.find("rootfs") == std::string::npos) {
        notes_.push_back("an image with layers of the type `" + printable(media) + "` is left out");
        return std::nullopt;
      }
      layers.push_back(files_.blob(digest_of(layer)));
    }
    return image_of(files_.blob(digest_of(config)), std::move(layers));
  }

  void add(const ForeignImage& image) {
    std::string config = files_.text(image.config);
    ArchivedImage record{sha256_hex(config), image.tags, std::nullopt, ""};
    with_context("image " + short_id(record.id), [&] {
      std::vector<Digest> diff_ids;
      const Value parsed = store::parse_json(config);
      const Value &rootfs = member(parsed, "rootfs"), &listed = member(rootfs, "diff_ids");
      if (!rootfs.is_object() || (!listed.is_array() && !listed.is_null()))
        throw Error("its configuration has no list of layers");
      for (const Value& item : listed) {
        auto diff_id = store::parse_digest(text_of(item, "diff ID"));
        if (!diff_id) throw Error("it has a diff ID that is no digest");
        diff_ids.push_back(*diff_id);
      }
      if (diff_ids.size() != image.layers.size())
        throw Error("it has " + std::to_string(diff_ids.size()) + " diff IDs and " +
                    std::to_string(image.layers.size()) + " layers");
      std::optional<Digest> parent;
      for (std::size_t i = 0; i < diff_ids.size(); ++i) {
        ArchivedLayer layer{chain_id_of(parent, diff_ids[i]), diff_ids[i], parent, 0, 0};
        if (!store_.has_layer(layer.chain_id))
          with_context("layer " + short_id(layer.diff_id), [&] {
            Fd fd = files_.open(image.layers[i]);
            FdSource file(fd.get(), "`" + printable(image.layers[i]) + "`");
            Decompressor tar(file);
            store_.add_layer(layer, {.tar = &tar, .changes = nullptr, .tar_split = {}});
          });
        parent = layer.chain_id;
      }
      store_.add_image(record, config);
    });
  }

  Files files_;
  IncomingStore& store_;
  Progress& progress_;
  std::vector<std::string> notes_;
  std::vector<ForeignImage> images_;
  std::map<Digest, std::size_t> by_config_;
  std::map<Digest, std::optional<std::size_t>> manifests_;  ///< that were read, indexes too, and their image
};

}  // namespace

std::vector<std::string> receive_foreign_archive(ArchiveReader& archive, IncomingStore& store,
                                                 Progress& progress) {
  return ForeignArchive(archive, store, progress).run();
}

}  // namespace drover
