#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "drivers/driver.hpp"
#include "drivers/view.hpp"
#include "migrate/archive/archive_head.hpp"
#include "migrate/archive/byte_stream.hpp"

namespace drover {

/// What comes in, as a data root of its own in a folder where no engine looks: Docker's records as they will
/// be, and the layers' files in a home of overlay2, whatever driver they are for. No kernel with overlay is
/// needed for that.
class IncomingStore {
 public:
  /// Made in an empty folder. `known`: the cache IDs of layers that the store it is for has already, which
  /// keep them; others get new ones.
  IncomingStore(Dir folder, DriverKind for_driver, std::map<Digest, LayerId> known);
  /// The home in such a folder.
  static std::unique_ptr<Driver> open_home(const Dir& folder);

  const Dir& dir() const { return folder_; }
  const Driver& home() const { return *home_; }

  /// Makes an image layer of its tar and, if given, of the changes to what that makes. Its parent must be
  /// there. Throws Error if the tar does not have the layer's diff ID.
  struct LayerSources {
    ByteSource* tar = nullptr;
    ByteSource* changes = nullptr;  ///< read once the tar is; empty: none
    /// Called between the two; passes on the tar-split.json.gz that came along. None: one is written.
    std::function<void(const ByteSink&)> tar_split;
  };
  void add_layer(const ArchivedLayer&, const LayerSources&);
  bool has_layer(const Digest& chain_id) const { return cache_ids_.contains(chain_id); }

  /// `config` must be what its ID says.
  void add_image(const ArchivedImage&, const std::string& config);
  void add_distribution(const std::map<std::string, std::string>& records);

  /// The three streams of a container, one after the other.
  void begin_container(const ArchivedContainer&);
  void add_container_folder(const ArchivedContainer&, ByteSource& changes);
  void add_container_layer(const ArchivedContainer&, bool init, ByteSource& changes);

  /// A folder for what is put aside; gone when finish() is through.
  Dir spool() const { return folder_.make_path("spool", 0700); }

  /// Writes down the tags. To be called at the end.
  void finish();

 private:
  OpenLayer create(const LayerId&, const std::optional<LayerId>& parent);
  Dir folder_, records_;
  DriverKind for_;
  std::unique_ptr<Driver> home_;
  std::map<Digest, LayerId> known_, cache_ids_;
  std::map<std::string, Digest> references_;
  LayerId mount_id_;  ///< of the container that is being made
};

/// 64 random hex digits, as the engine makes its IDs.
std::string random_id();

/// "host:5000/app" of "host:5000/app:1" and "host:5000/app@sha256:..."
std::string repository_of(const std::string& reference);

/// Gives a file another text; all attributes stay, its folder's too.
void rewrite_file(const Dir& folder, const std::string& name, const std::string& text);

/// {"Repositories": ...} with these tags and digests.
std::string repositories_text(const std::map<std::string, Digest>& references);

}  // namespace drover
