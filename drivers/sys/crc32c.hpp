#pragma once
#include <cstdint>
#include <string_view>

namespace drover {

/// CRC-32C (Castagnoli) of some bytes, going on from `seed`; not inverted at the end, as the kernel's
/// crc32c().
std::uint32_t crc32c(std::uint32_t seed, std::string_view bytes);

}  // namespace drover
