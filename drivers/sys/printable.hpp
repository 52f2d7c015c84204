#pragma once
#include <string>
#include <string_view>

namespace drover {

/// Foreign bytes as one harmless line for a message: control characters and bytes that are no UTF-8 as \xNN.
std::string printable(std::string_view bytes);

/// The same bytes, but for those that are no UTF-8: each becomes U+FFFD, as Go's JSON decoder has it.
std::string as_utf8(std::string_view bytes);

}  // namespace drover
