#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "migrate/store.hpp"
#include "tests/support/sample_layer.hpp"

namespace drover::test {

/// Makes a Docker data root without an engine: the records of layers, images and containers and, for overlay2
/// and as root, their files too, such that dockerd 20.10 starts on it. The same calls give the same IDs and
/// bytes, but for the data root's own path in the containers' configuration.
class SampleRoot {
 public:
  enum class Files { none, overlay2 };
  /// `path` is an empty directory.
  SampleRoot(const std::string& path, Files files);

  /// A layer on `parent`; its chain ID.
  Digest add_layer(const std::optional<Digest>& parent, const std::vector<SampleEntry>& entries);
  /// An image of the layers up to `top` that runs `command`; its ID. `reference` may be empty.
  Digest add_image(const std::string& reference, const Digest& top, const std::string& command);
  void tag(const std::string& reference, const Digest& image);
  /// A stopped container of an image; its ID. `changes` is what its writable layer holds.
  std::string add_container(const std::string& name, const Digest& image,
                            const std::vector<SampleEntry>& changes, const std::string& output);

  const std::string& path() const noexcept { return path_; }
  const std::string& tar_of(const Digest& chain_id) const { return tars_.at(chain_id); }
  const LayerRecord& layer(const Digest& chain_id) const { return layers_.at(chain_id); }
  const MountRecord& mount(const std::string& container) const { return mounts_.at(container); }

 private:
  void add_files(const LayerId& id, const std::optional<LayerId>& parent,
                 const std::vector<SampleEntry>& entries);
  void write_repositories();
  std::vector<Digest> diff_ids_up_to(const Digest& top) const;

  std::string path_;
  Files files_;
  Dir root_, store_;
  std::map<Digest, LayerRecord> layers_;
  std::map<Digest, std::string> tars_;
  std::map<Digest, Digest> top_of_;  ///< of each image
  std::map<Digest, std::string> command_of_;
  std::map<std::string, MountRecord> mounts_;
  std::map<std::string, Digest> references_;
};

/// The data root of the quickstart: three images that share layers, with whiteouts, an opaque directory, hard
/// links, symlinks and a setuid file, and a container with edits and deletions. The small one has each kind
/// of entry, but few of each, for tests that go through all that is done with it.
enum class SampleSize { usual, small };
void fill_sample_root(SampleRoot&, SampleSize = SampleSize::usual);

}  // namespace drover::test
