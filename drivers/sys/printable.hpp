#pragma once
#include <string>
#include <string_view>

namespace drover {

/// Foreign bytes as one harmless line for a message: control characters and bytes that are no UTF-8 as \xNN.
std::string printable(std::string_view bytes);

/// The same bytes, but for those that are no UTF-8: each becomes U+FFFD, as Go's JSON decoder has it.
std::string as_utf8(std::string_view bytes);

/// Of a path that is longer than messages should be its beginning and its end, "/..." for what is between;
/// others as they are.
std::string shortened_path(std::string_view path);
bool is_shortened(std::string_view path);
/// What is above, for messages: less the last name, of a shortened path no more than what it still has.
std::string path_above(std::string_view path);

}  // namespace drover
