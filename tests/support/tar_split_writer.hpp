#pragma once
#include <string>
#include <string_view>

#include "drivers/sys/fd.hpp"

namespace drover::test {

/// One gzip member, without a time or a name in its header: the same bytes each time.
std::string gzip(std::string_view bytes);
std::string base64(std::string_view bytes);

/// The tar-split JSON lines of a tar made of pax or ustar headers, as the engine writes them on import.
std::string split_tar(std::string_view tar);

/// A descriptor on a file of these bytes that has no name.
Fd memory_file(std::string_view bytes);

}  // namespace drover::test
