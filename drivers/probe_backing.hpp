#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "drivers/sys/dir.hpp"

namespace drover {

/// The filesystem under a data root. What could not be tried (no rights) has no value.
struct BackingFilesystem {
  std::string type;         ///< as the engine names it: "extfs", "xfs"; the kernel's name where it has none
  std::string kernel_type;  ///< as the mount table names it: "ext4"
  std::string mount_point, source;
  std::string place;                                ///< the directory that was looked at
  std::uint64_t total_bytes = 0, free_bytes = 0;    ///< free: to users, without root's reserve
  std::uint64_t total_inodes = 0, free_inodes = 0;  ///< 0 and 0 where inodes are made as needed
  bool read_only = false;
  std::optional<bool> d_type;   ///< readdir tells what kind an entry is
  std::optional<bool> reflink;  ///< FICLONE shares a file's blocks
  std::optional<bool> xattr;    ///< trusted.* attributes (user.* in a user namespace) can be written
  /// How a size limit of one container can be held here: "project" (xfs mounted with pquota), "qgroup"
  /// (btrfs) or "none".
  std::string quota = "none";
};

/// Looks at the filesystem of this directory, or of its nearest existing parent. Throws Error if it cannot be
/// found at all; a trial that is not permitted only leaves its answer open.
BackingFilesystem probe_backing(const std::string& path);

/// The engine's word for a filesystem of this statfs type; empty if it has none. (moby daemon/graphdriver
/// FsNames)
std::string engine_filesystem_name(long statfs_type);

/// Whether readdir tells what kind an entry is, and whether FICLONE works; both asked through new files in
/// this directory, which must hold none of theirs.
bool readdir_tells_type(const Dir& scratch);
bool can_reflink(const Dir& scratch);

}  // namespace drover
