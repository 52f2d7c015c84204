#pragma once
#include <optional>
#include <string>

#include "drivers/devicemapper_options.hpp"
#include "drivers/driver.hpp"

namespace drover {

/// What a pool can take of layers, by its data, its metadata (thin-provisioning.rst, "Setting up a fresh pool
/// device") and dm.min_free_space; of the filesystem that it would lie on, if that has less.
std::optional<Space> devicemapper_space(const std::string& data_root, const DevicemapperOptions&);

}  // namespace drover
