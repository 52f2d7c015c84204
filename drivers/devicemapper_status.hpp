#pragma once
#include <string>
#include <utility>
#include <vector>

#include "drivers/devicemapper_options.hpp"

namespace drover {

/// The lines that `docker info` shows of a devicemapper home's pool ("Data Space Used" -> "1.5 GB"): from the
/// pool if it is active, else from its metadata. Those that describe a running engine are left out. Empty
/// where there is no home with a pool, or none that can be read.
std::vector<std::pair<std::string, std::string>> devicemapper_status(const HomeFolder&,
                                                                     const DevicemapperOptions&);

}  // namespace drover
