#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace drover {

/// The program `zfs`, run by argument vector with its output for machines (-H -p): there is no library with a
/// stable interface. All functions throw Error with what the program said, unless their comment says
/// otherwise. Names are checked before they become arguments.

/// Whether this can be a filesystem's name: "tank/docker". Components of letters, digits, "_-.: ", none empty
/// and none "." or "..", the first one beginning with a letter, 255 bytes in all. (zfs(8); OpenZFS
/// zfs_namecheck.c) A snapshot's name is none.
bool is_dataset_name(std::string_view text);

/// A filesystem, as `zfs list` shows it.
struct ZfsFilesystem {
  std::string name;
  std::string guid;              ///< the same through renames, never used again
  std::string origin;            ///< the snapshot that it is a clone of, or empty
  bool shows_snapshots = false;  ///< its root lists `.zfs` (snapdir=visible)
  /// The last component of the name.
  std::string_view base() const { return std::string_view(name).substr(name.rfind('/') + 1); }
};

/// Reads `zfs list -H -p -o name,guid,origin,snapdir`. Throws Error if a line is of another form.
std::vector<ZfsFilesystem> parse_zfs_list(std::string_view output);

/// The filesystems directly below one; nothing if there is no such filesystem.
std::optional<std::vector<ZfsFilesystem>> zfs_children(const std::string& parent);
/// Everything in a pool, volumes too.
std::vector<ZfsFilesystem> zfs_all_in(const std::string& pool);
bool zfs_exists(const std::string& filesystem);

/// Properties by name, in this order; numbers as plain bytes.
std::vector<std::string> zfs_properties(const std::string& filesystem, const std::vector<std::string>& names);

/// How many bytes can still be written to it.
std::uint64_t zfs_available(const std::string& filesystem);

/// A property that was set on a filesystem itself.
struct ZfsSetting {
  std::string filesystem, property, value;
};
/// Those of all filesystems directly below one.
std::vector<ZfsSetting> zfs_own_settings(const std::string& parent);

using ZfsProperties = std::vector<std::pair<std::string, std::string>>;
void zfs_create(const std::string& filesystem, const ZfsProperties&);
/// A clone of what `parent` is now. As the engine does it, the snapshot between them is marked for deferred
/// destruction at once: it goes with its last clone.
void zfs_clone(const std::string& parent, const std::string& filesystem, const ZfsProperties&);
void zfs_set(const std::string& filesystem, const std::string& property, const std::string& value);
void zfs_rename(const std::string& from, const std::string& to);
/// With its snapshots. Fails where another filesystem is a clone of it, or something lies below it.
void zfs_destroy(const std::string& filesystem);
/// Marks those snapshots below `filesystem` for deferred destruction that are not marked yet: what a killed
/// zfs_clone has left.
void zfs_defer_snapshots(const std::string& filesystem);

}  // namespace drover
