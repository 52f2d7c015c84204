#pragma once
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// What lies in a driver's home, or in its records, that no engine with that driver has made: somebody's
/// copy of a layer, say (`overlay2/<id>.bak`). Sorted paths. What a layer's own folder holds is the layer's.
std::vector<std::string> foreign_in_home(const Dir& home, const Driver&);
/// Of a home without layers: whatever is in the place of one is foreign, too.
std::vector<std::string> foreign_in_empty_home(const Dir& home, const Driver&);
std::vector<std::string> foreign_in_records(const Dir& records);

/// Throws Error where a home that is about to be deleted has such: nobody has carried it.
void require_no_foreign(const Dir& home, const Driver&);

}  // namespace drover
