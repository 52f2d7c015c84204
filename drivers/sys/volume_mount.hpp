#pragma once
#include <string>
#include <vector>

#include "drivers/sys/dir.hpp"

namespace drover {

/// Mounts the filesystem on a block device at no path at all (mount_detached).
/// `fstype`: one of filesystem_on's. What its superblock asks for on an error counts for nothing: a panic,
/// say (the content of a thin device is whatever its containers made of it). `what` names the device in
/// messages. Throws SystemError; EROFS: its journal wants replay and the device is read-only.
Dir mount_volume(const std::string& device, const std::string& fstype, bool read_only,
                 const std::string& what);

/// The filesystem on a device: "ext4", "xfs", or nothing that drover knows (ext2 and ext3 are ext4's).
/// `device` is open for reading.
std::string filesystem_on(int device, const std::string& what);

/// What libblkid finds on a device, filesystem, RAID member or partition table: its name for it, or nothing.
std::string signature_on(int device, const std::string& what);

/// Its UUID as blkid prints it. Throws Error unless it is one of the two.
std::string filesystem_uuid(int device, const std::string& what);

}  // namespace drover
