#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/marks.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/symlink.hpp"
#include "drivers/transfer_count.hpp"

namespace drover {

/// The storage drivers, in the order in which a current engine looks for them, then the removed ones.
enum class DriverKind { overlay2, fuse_overlayfs, btrfs, zfs, vfs, aufs, devicemapper, overlay };

/// How a driver keeps a layer: the layer's own entries plus marks for what it hides, or everything it shows.
enum class LayerForm { delta, tree };

/// A driver's name for a layer: Docker's cache ID or mount ID (64 hex digits, perhaps with "-init"), or a
/// BuildKit ID (25 characters). Always one path component; see is_layer_id.
using LayerId = std::string;
bool is_layer_id(std::string_view text);
/// Whether it is one of BuildKit's own.
bool is_build_id(std::string_view text);

/// What a driver answers when it is asked whether it can work on a data root. "No" is an answer, not an
/// error.
struct Probe {
  enum class Usable { yes, with_limits, no };
  Usable usable = Usable::no;
  std::string reason;    ///< why not, or which limits; empty when plainly usable
  std::string evidence;  ///< what was tried and seen
  std::string fix;       ///< what the admin can do about it
  /// The lines that `docker info` shows for this driver here ("Supports d_type" -> "true").
  std::vector<std::pair<std::string, std::string>> status;
  /// Not usable only because this host's kernel or tools lack the driver: its home can be made here all the
  /// same, for a host that has it.
  bool home_possible = false;
};

/// A layer's files as they lie on disk. Whatever must stay mounted or attached for that ends with `keep`.
struct OpenLayer {
  Dir root;
  std::shared_ptr<void> keep;

  OpenLayer() = default;
  OpenLayer(Dir directory, std::shared_ptr<void> what) : root(std::move(directory)), keep(std::move(what)) {}
  OpenLayer(OpenLayer&&) = default;
  OpenLayer& operator=(OpenLayer&&) = default;
  /// The directory is closed before what it is on goes.
  ~OpenLayer() { root = Dir(); }
};

/// Where a layer is one directory, whole: what holds it, and its name there.
struct LayerPlace {
  Dir holder;
  std::string name;
};

struct CreateOptions {
  /// The new layer and its parent are immutable (image layers), so a tree may share the parent's inodes by
  /// hard links.
  bool share_inodes = false;
  /// Gets what was made for the new layer of its parent's entries, where that is done one by one.
  TransferCount* count = nullptr;
};

/// The mapped root of a user-namespaced data root; 0:0 otherwise.
struct RootOwner {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// What a driver must know of its home besides the path.
struct HomeSettings {
  RootOwner owner;
  /// The engine's storage-opts ("zfs.fsname=tank/docker"): some say where the layers are, outside of the
  /// home.
  std::vector<std::string> storage_opts;
  /// Read without the kernel's part of the driver, as where there is none.
  bool offline = false;
};

/// Room for layers that lie outside of the data root's filesystem.
struct Space {
  std::string where;  ///< "the zfs filesystem `tank/docker`"
  std::uint64_t free_bytes = 0;
};

/// One driver's home (`<data root>/overlay2`, or where it is being built). Functions that write are used on a
/// home that no engine looks at. Calls for different layers may come from several threads at once.
class Driver {
 public:
  virtual ~Driver() = default;
  virtual DriverKind kind() const noexcept = 0;
  /// How this driver keeps layers; where it keeps both forms, that of image layers.
  virtual LayerForm form() const noexcept = 0;
  /// How it keeps what containers write.
  virtual LayerForm writable_form() const noexcept { return form(); }
  /// How it keeps this one, which must exist.
  virtual LayerForm form_of(const LayerId&) const { return form(); }
  /// How this driver's deltas spell "gone" and "opaque"; Marks::none where it keeps trees only.
  virtual Marks marks() const noexcept = 0;
  /// Whether each layer is a volume of its own that starts as a snapshot of its parent's: then no inode has
  /// names in two layers.
  virtual bool layers_are_volumes() const noexcept { return false; }

  /// Whether the layers lie outside of the home's folder, so that a rename of it does not take them along.
  virtual bool layers_outside() const noexcept { return false; }
  /// Where the layers take their room, and how much there is; nothing if that is all the data root's
  /// filesystem has.
  virtual std::optional<Space> space() const { return std::nullopt; }
  /// What was set on single layers by hand and no other driver can hold ("refquota=5368709120").
  virtual std::map<LayerId, std::vector<std::string>> own_settings() const { return {}; }
  /// Why a home like this should be made only if the user insists; empty: no reason.
  virtual std::string reluctance() const { return {}; }

  /// Paths in a home that the engine makes; "mnt/*" is whatever is in `mnt`, "x/.tmp*" what begins so, and
  /// "dir/#" what is called by a layer's ID in `dir`. What it makes for a moment and leaves where it is
  /// killed is among them.
  virtual std::vector<std::string_view> furniture() const = 0;
  /// Files that drover itself keeps in a home while no engine uses it.
  virtual std::vector<std::string_view> own_files() const { return {}; }
  /// Every layer in the home, in no particular order. Names that are no layer IDs are not listed.
  virtual std::vector<LayerId> layers() const = 0;
  /// Whether the layer's files are where drover reads them: those behind a symlink are not.
  virtual bool contains(const LayerId&) const = 0;
  /// The symlink, if any, that an engine would follow to this layer's files and drover does not.
  virtual std::optional<Symlink> symlink_to(const LayerId&) const { return std::nullopt; }
  /// The layer and, for deltas, all it stands on, nearest first: together they show what the layer shows. A
  /// delta may stand on another layer than its parent, and then holds all changes since that one. Throws
  /// Error if the home contradicts itself.
  virtual std::vector<LayerId> stack(const LayerId&) const = 0;
  /// The layer's own files, to be read only.
  virtual OpenLayer open(const LayerId&) const = 0;
  /// Whether each layer is one directory that may be renamed into the home of another such driver, once its
  /// marks are spelled as that one does.
  virtual bool layers_can_be_renamed() const noexcept { return false; }
  /// Of such a driver: where the layer's directory is, or would be in a layer that lacks it. Nothing if there
  /// is no such layer.
  virtual std::optional<LayerPlace> place_in_home(const LayerId&) const { return std::nullopt; }
  /// Where these files are, for people: their folder, or what else they are kept in.
  virtual std::string place_of(const LayerId& id) const { return open(id).root.path(); }
  /// What the user should know of this layer: where the driver shows it otherwise than drover carries it.
  virtual std::vector<std::string> remarks(const LayerId&) const { return {}; }

  /// Makes an empty home here: its directories with mode and owner as the engine wants them. Idempotent.
  virtual void make_home() = 0;
  /// An empty delta (on what stack() then says), or a tree that starts as the parent's. The layer must not
  /// exist.
  virtual OpenLayer create(const LayerId&, const std::optional<LayerId>& parent, const CreateOptions&) = 0;
  /// Called once all of the layer's content is there. Leaves the layer as the engine would have.
  virtual void seal(const LayerId&) = 0;
  /// Removes what there is of a layer, finished or not. Gone already is success.
  virtual void remove(const LayerId&) = 0;
  /// Removes the whole home: layers, then the home itself. Gone already is success.
  virtual void remove_home() = 0;
  /// What remove_home takes along from outside of the home's folder, in words; empty: nothing.
  virtual std::string outside() const { return {}; }
  /// What would keep remove_home from coming to its end, as an error that says what to do about it.
  virtual std::optional<Error> removal_blocker() const { return std::nullopt; }

  /// Whether a layer can have a limit of its size, and the setting of it. Returns why this one cannot be set;
  /// nothing if it is.
  virtual bool limits_size() const noexcept { return false; }
  virtual std::optional<std::string> limit_size(const LayerId&, std::uint64_t /*bytes*/) {
    return "this driver limits no layer's size";
  }

  // Of a home whose layers lie outside. Called around the renames of a switch, perhaps again after a crash;
  // all of them are idempotent.

  /// The home is complete and about to be put where an engine looks: gives its layers the names under which
  /// the engine looks for them. Until claim or release, remove_home still removes these layers and no others.
  virtual void settle() {}
  /// The home was where an engine looks and is not any more: these layers, and what was made from them, are
  /// its own. Writes that down in the home, so that remove_home removes these and no others.
  virtual void claim(const std::vector<LayerId>&) {}
  /// The home is, or is about to be, where an engine looks: forgets what settle and claim have written down.
  virtual void release() {}

  /// Lets go of what is activated or attached for this home; what was opened must be closed. Throws Error if
  /// something keeps it: an engine must not find it then.
  virtual void close() {}
};

/// One row of the table of drivers (registry.cpp).
struct DriverEntry {
  DriverKind kind;
  std::string_view name;  ///< as the engine spells it; also its folder in the data root
  LayerForm form;
  /// Tries the driver on this directory (the data root, or its nearest existing parent), leaves nothing
  /// behind.
  /// `storage_opts` are the engine's.
  Probe (*try_on)(const std::string& data_root, const std::vector<std::string>& storage_opts);
  /// Opens a home at this path, which is not followed where its last name is a symlink; null for a driver
  /// that drover cannot read and write yet.
  std::unique_ptr<Driver> (*open)(const std::string& home, const HomeSettings&);

  Probe probe(const std::string& data_root, const std::vector<std::string>& storage_opts = {}) const {
    return try_on(data_root, storage_opts);
  }
};

const std::vector<DriverEntry>& driver_table();
const DriverEntry& driver_entry(DriverKind);
/// Nothing if no driver is called so.
const DriverEntry* find_driver(std::string_view name);
std::string_view driver_name(DriverKind);

}  // namespace drover
