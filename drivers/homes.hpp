#pragma once
#include <memory>
#include <string>

#include "drivers/driver.hpp"

namespace drover {

/// Opens a driver's home at this path, which need not exist yet (Driver::make_home). One for each row of the
/// table.
std::unique_ptr<Driver> open_overlay2(const std::string& home, const HomeSettings&);
std::unique_ptr<Driver> open_fuse_overlayfs(const std::string& home, const HomeSettings&);
std::unique_ptr<Driver> open_vfs(const std::string& home, const HomeSettings&);
std::unique_ptr<Driver> open_btrfs(const std::string& home, const HomeSettings&);
std::unique_ptr<Driver> open_aufs(const std::string& home, const HomeSettings&);
std::unique_ptr<Driver> open_overlay(const std::string& home, const HomeSettings&);
std::unique_ptr<Driver> open_zfs(const std::string& home, const HomeSettings&);
std::unique_ptr<Driver> open_devicemapper(const std::string& home, const HomeSettings&);

}  // namespace drover
