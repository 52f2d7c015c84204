#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// Docker's own record of what is in a data root under one driver: `image/<driver>/` and `containers/`. All
/// of it is foreign bytes: sizes, counts, IDs and references are checked before they are used.

/// 64 lower-case hex digits, without "sha256:".
using Digest = std::string;
bool is_digest(std::string_view text);

/// `image/<driver>/layerdb/sha256/<chain ID>/`
struct LayerRecord {
  Digest chain_id, diff_id;
  std::optional<Digest> parent;  ///< chain ID
  LayerId cache_id;
  std::uint64_t size_bytes = 0;  ///< as recorded: this layer alone
  bool has_tar_split = false;
};

/// `image/<driver>/layerdb/mounts/<name>/`: a writable layer.
struct MountRecord {
  std::string name;  ///< container ID, or a 25-character BuildKit ID
  LayerId mount_id;
  std::optional<LayerId> init_id;
  std::optional<Digest> parent;  ///< chain ID of the image's top layer
};
/// Its own layers.
std::vector<LayerId> files_of(const MountRecord&);

/// `image/<driver>/imagedb/content/sha256/<id>`, with its tags and digests from repositories.json.
struct ImageRecord {
  Digest id;
  std::vector<Digest> diff_ids;
  std::optional<Digest> top;            ///< chain ID of the top layer; none for an image without layers
  std::vector<std::string> references;  ///< "app:1", "host/app@sha256:..."
};

/// `containers/<id>/config.v2.json` and hostconfig.json
struct ContainerRecord {
  std::string id, name, driver;
  std::optional<Digest> image;
  bool running = false;                   ///< as recorded: true, too, after the engine was killed
  std::int64_t pid = 0;                   ///< of its first process while it runs
  std::optional<std::string> size_limit;  ///< --storage-opt size=
};

/// What of a store can be left behind by itself, with all that needs it. The build cache is one part: its
/// records are BuildKit's own, and name its layers.
struct Part {
  enum class Kind { layer, image, container, build_cache };
  Kind kind = Kind::layer;
  std::string id;  ///< a chain ID, the ID of an image or a container; empty: the build cache
  auto operator<=>(const Part&) const = default;
};

/// Whose mount one of this name is: a container's, or one of BuildKit's.
Part part_of_mount(const std::string& name);

/// A part that is left behind.
struct LeftPart {
  std::string name;            ///< as users call it
  std::string why;             ///< the damage, of the part itself or of what it needs
  std::vector<LayerId> files;  ///< what of it is known to be in the driver's home
};
using LeftBehind = std::map<Part, LeftPart>;

/// Something in the records that does not hold together.
struct StoreProblem {
  std::string what;  ///< one line: which record, and what is wrong with it
  /// Images (tag or short ID) and containers (name) that need it: the first kMostConcerned, and "and 7 more".
  std::vector<std::string> concerns;
  /// It costs a container, a tagged image or one that the engine shows. False: the engine passes over it
  /// without a word to its user, and nothing is lost by going on.
  bool fatal = true;
  std::string fix = {};  ///< where nothing is damaged but drover cannot read it as it is: what to do about it
  /// With which parts left behind it is no problem any more, and their names: what is damaged, and what the
  /// inventory lacks for it. None: no part by itself is to blame. Of several layers that a part lacks it is
  /// named with one.
  std::map<Part, std::string> parts = {};
};

/// A damaged layer may be needed by all there is, and there may be as many such layers as their maker likes.
constexpr std::size_t kMostConcerned = 20;
/// "and 7 more" behind a list of names, where there are more than in it.
void add_count_of_rest(std::vector<std::string>& names, std::size_t all);
/// Whether a problem is one of what users call so, or of what is needed by it.
bool is_concerned(const StoreProblem&, std::string_view name);

/// What the engine loads from the records. Where no problem is fatal, all of it hangs together: each layer's
/// parent, each image's layers and each container's writable layer are in here, and in the driver's home if
/// that was asked.
struct Inventory {
  DriverKind driver;
  std::map<Digest, LayerRecord> layers;               ///< by chain ID
  std::map<std::string, MountRecord> mounts;          ///< by name
  std::map<Digest, ImageRecord> images;               ///< by ID
  std::map<std::string, ContainerRecord> containers;  ///< of this driver, by ID
  std::vector<ContainerRecord> foreign_containers;    ///< whose Driver is another one
  std::vector<StoreProblem> problems;
  /// What is in the driver's home of parts that are not in here, since the engine does not load them, as far
  /// as their records can be read. Another part may name it, too.
  std::map<Part, std::vector<LayerId>> unloaded;
  LeftBehind left;  ///< what is not in here any more, since it is to be left behind (left_behind.hpp)
};

/// Reads the records; never throws for what they say, only for what cannot be read at all (no rights, a
/// folder with I/O errors). What is wrong with them is in `problems`: unreadable and unparsable files, bad
/// IDs, chain IDs that do not follow from their parents and diff IDs, parent cycles, images whose layers are
/// missing, containers whose mount is missing, cache IDs that the driver does not have (asked through `home`
/// where given), IDs with two owners. Records of a driver that are absent are an empty inventory.
Inventory read_inventory(const Dir& data_root, DriverKind driver, const Driver* home);

/// The names of the drivers that have records in `image/`, whether drover knows them or not.
std::vector<std::string> stores_on_disk(const Dir& data_root);

/// Opens a layer's tar-split.json.gz. Nothing if the layer has none.
std::optional<Fd> open_tar_split(const Dir& data_root, DriverKind driver, const Digest& chain_id);

/// How users call it: the first tag, else 12 digits of the ID.
std::string display_name(const ImageRecord&);
std::string display_name(const ContainerRecord&);
std::string short_id(std::string_view id);

/// The OCI chain ID of a layer on a parent.
Digest chain_id_of(const std::optional<Digest>& parent, const Digest& diff_id);

}  // namespace drover
