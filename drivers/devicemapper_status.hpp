#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "drivers/devicemapper_options.hpp"
#include "drivers/driver.hpp"

namespace drover {

/// The lines that `docker info` shows of a devicemapper home's pool ("Data Space Used" -> "1.5 GB"): from the
/// pool if it is active, else from its metadata. Those that describe a running engine are left out. Empty
/// where there is no home with a pool, or none that can be read.
std::vector<std::pair<std::string, std::string>> devicemapper_status(const std::string& home,
                                                                     const DevicemapperOptions&);

/// What a pool can take of layers, by its data, its metadata (thin-provisioning.rst, "Setting up a fresh pool
/// device") and dm.min_free_space; of the filesystem that it would lie on, if that has less.
std::optional<Space> devicemapper_space(const std::string& data_root, const DevicemapperOptions&);

}  // namespace drover
