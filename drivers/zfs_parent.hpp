#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace drover {

/// The filesystem below which an engine keeps its layers on zfs.

/// What `zfs.fsname` among an engine's storage-opts names; the last one counts, and the key's case does not.
std::optional<std::string> zfs_fsname(const std::vector<std::string>& storage_opts);

/// What the option names, else the filesystem of the data root (or of anything in it): the first zfs in the
/// mount table with its device number. Nothing if it is on no zfs. (moby daemon/graphdriver/zfs/zfs.go, Init
/// and lookupZfsDataset) Throws Error if it has a name that cannot be.
std::optional<std::string> find_zfs_parent(const std::string& data_root,
                                           const std::vector<std::string>& storage_opts);

/// The lines that `docker info` shows.
std::vector<std::pair<std::string, std::string>> zfs_status(const std::string& parent);

}  // namespace drover
