#pragma once
#include <string>
#include <string_view>

namespace drover {

/// Foreign bytes as one harmless line for a message: control characters and bytes that are no UTF-8 as \xNN.
std::string printable(std::string_view bytes);

}  // namespace drover
