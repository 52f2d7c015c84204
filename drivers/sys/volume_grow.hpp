#pragma once
#include <cstdint>
#include <string>

#include "drivers/sys/dir.hpp"

namespace drover {

/// Makes a mounted ext4 or xfs as large as its device, as resize2fs and xfs_growfs do, by the filesystem's
/// own call: those programs want a mount point, and this one has none. Throws SystemError.
void grow_filesystem(const Dir& root, const std::string& filesystem, std::uint64_t device_bytes);

}  // namespace drover
