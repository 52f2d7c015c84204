#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "migrate/store.hpp"

namespace drover {

/// What one layer of the source is like on disk.
struct LayerFacts {
  std::vector<LayerId> stack;  ///< as Driver::stack
  std::uint64_t entries = 0;   ///< inodes below its root, directories included
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;              ///< allocated, each inode once
  std::vector<std::string> remarks;     ///< as Driver::remarks
  std::uint64_t protected_entries = 0;  ///< with chattr +i or +a
  std::string not_renamed;  ///< where layers are to be renamed: why this one cannot be; empty: it can
  bool respelled = false;   ///< it can, but there are marks in it to be spelled anew
};

/// What the target's filesystem can do for us.
struct TargetFacts {
  DriverKind kind = DriverKind::overlay2;
  LayerForm form = LayerForm::delta, writable_form = LayerForm::delta;
  bool links = true;       ///< hard links from the source's files are possible (same filesystem and mount)
  bool reflink = false;    ///< FICLONE from the source's files is possible
  bool snapshots = false;  ///< a layer can start as a snapshot of its parent
  /// An image layer that is a tree shares inodes with its parent's, though not with the source's.
  bool shared_trees = false;
  std::uint64_t free_bytes = 0, free_inodes = 0;
  bool counts_inodes = true;  ///< the filesystem has a fixed number of inodes
  std::string place = {};     ///< in words: "the filesystem of `/var/lib/docker`"
  bool size_limits = false;   ///< a layer can have a limit of its size
  bool renames = false;       ///< the layers are to be renamed into the new home
  /// What is copied whatever the drivers are: Docker's records, the containers' folders with their logs, and
  /// the build cache's records; into another data root also all else.
  std::uint64_t record_bytes = 0, record_inodes = 0;
};

enum class LayerRole { image, init, writable, build_cache };

/// One unit of the work.
struct PlannedLayer {
  LayerId id;
  std::optional<LayerId> parent;
  LayerRole role = LayerRole::image;
  std::optional<Digest> chain_id;  ///< of an image layer
  std::vector<std::string>
      serves;  ///< the images and containers that stand on it directly (tops and writable layers)
  std::optional<std::uint64_t> size_limit;  ///< that the target is to put on it, in bytes
  bool head = false;       ///< an image's top, or a layer nothing stands on: its whole view is compared
  bool renamed = false;    ///< its directory is renamed into the new home; else it is copied
  bool respelled = false;  ///< of a renamed one: marks in it are spelled anew
  bool immutable() const { return role == LayerRole::image; }
};

/// How the bulk of the data gets across, for the reader of the plan.
enum class Transfer { hard_links, reflinks, copies, renames };

/// Everything that a migration will do. Made without touching anything.
struct Plan {
  DriverKind from = DriverKind::overlay2, to = DriverKind::overlay2;
  std::vector<PlannedLayer> layers;  ///< parents before children
  std::vector<LayerId> orphans;      ///< in the source's home, but of no image or container: left behind
  std::uint64_t images = 0, tags = 0, containers = 0;
  std::uint64_t bytes = 0;  ///< of all its layers in the source's home
  std::size_t renamed = 0;  ///< of its layers
  bool links = true;        ///< image layers may share inodes with the source's
  Transfer image_transfer = Transfer::copies, container_transfer = Transfer::copies;
  std::uint64_t needed_bytes = 0, needed_inodes = 0;  ///< at the peak, an upper estimate
  std::uint64_t free_bytes = 0, free_inodes = 0;
  bool counts_inodes = true;
  std::string place;               ///< where that is needed and free, in words
  std::vector<std::string> notes;  ///< what the user should know: what is left behind or cannot be kept
  bool fits() const { return needed_bytes <= free_bytes && (!counts_inodes || needed_inodes <= free_inodes); }
};

/// Pure: the records, the facts about each layer in the source's home, and the target's, give the plan.
/// Throws Error if a layer that is needed has no facts, or the layers do not form a forest.
Plan make_plan(const Inventory&, LayerForm source_form, const std::map<LayerId, LayerFacts>&,
               const TargetFacts&);

/// Takes out of a plan the layers that are not in the facts any more, and what the inventory has no more of;
/// sizes stay, as upper estimates, and notes on what is gone go. Gives back the layers whose whole view is to
/// be compared now, and was not before: what stood on them is left behind.
std::vector<LayerId> reduce_plan(Plan&, const Inventory&, const std::map<LayerId, LayerFacts>&);

/// The layer's place in words: "image layer 4f5c... of app:1", "writable layer of web".
std::string describe(const PlannedLayer&);

std::string_view transfer_name(Transfer);

}  // namespace drover
