#pragma once
#include <string>
#include <string_view>

#include "drivers/sys/fd.hpp"

namespace drover::test {

/// One gzip member, without a time or a name in its header: the same bytes each time.
std::string gzip(std::string_view bytes);
std::string gunzip(const std::string& packed);
std::string base64(std::string_view bytes);

/// The tar-split JSON lines of a tar made of pax or ustar headers, as the engine writes them on import.
std::string split_tar(std::string_view tar);

/// tar-split JSON lines that are whole, and wrong: their first member has another mode, and its header the
/// checksum that goes with it.
std::string with_other_mode(const std::string& lines);

/// A tar header with its checksum, which is written last.
void put_checksum(std::string& header, std::size_t at = 0);

/// A descriptor on a file of these bytes that has no name.
Fd memory_file(std::string_view bytes);

}  // namespace drover::test
