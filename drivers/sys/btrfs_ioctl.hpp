#pragma once
#include <string>

#include "drivers/sys/dir.hpp"

namespace drover {

/// btrfs's own calls (linux/btrfs.h), one function each. All throw SystemError.

/// BTRFS_IOC_SUBVOL_CREATE: an empty subvolume `name` in `in`.
void create_subvolume(const Dir& in, const std::string& name);

/// BTRFS_IOC_SNAP_CREATE_V2: a writable snapshot of `source` as `name` in `in`.
void create_snapshot(const Dir& source, const Dir& in, const std::string& name);

/// BTRFS_IOC_SNAP_DESTROY. False if it is no subvolume, or still has subvolumes inside.
bool destroy_subvolume(const Dir& in, const std::string& name);

/// Whether a directory is the root of a subvolume.
bool is_subvolume(const Dir&);

/// BTRFS_IOC_SUBVOL_SETFLAGS: what is in a read-only subvolume can be changed then.
void make_writable(const Dir& subvolume);

}  // namespace drover
