#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "drivers/marks.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// What to say of the names in a delta that are both present and marked as gone, which the driver of this
/// name hides and drover carries as present. Empty where there is none.
std::vector<std::string> remarks_on_hidden(Marks, const Dir& layer, std::string_view driver);

}  // namespace drover
