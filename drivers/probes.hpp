#pragma once
#include <string>
#include <vector>

#include "drivers/driver.hpp"

namespace drover {

using StorageOpts = std::vector<std::string>;

/// One probe a driver. Each tries the driver for real below the data root (or its nearest existing parent; or
/// the driver's home where that is a filesystem of its own), in a mount namespace of its own, and leaves
/// nothing behind. None throws: what stands in the way of trying is an answer too.
Probe probe_overlay2(const std::string& data_root, const StorageOpts&);
Probe probe_fuse_overlayfs(const std::string& data_root, const StorageOpts&);
Probe probe_btrfs(const std::string& data_root, const StorageOpts&);
Probe probe_zfs(const std::string& data_root, const StorageOpts&);
Probe probe_vfs(const std::string& data_root, const StorageOpts&);
Probe probe_aufs(const std::string& data_root, const StorageOpts&);
Probe probe_devicemapper(const std::string& data_root, const StorageOpts&);
Probe probe_overlay(const std::string& data_root, const StorageOpts&);

}  // namespace drover
