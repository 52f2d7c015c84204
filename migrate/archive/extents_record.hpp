#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "migrate/archive/tar_member.hpp"

namespace drover {

/// Where a file's data goes (offset and length, in their order), as its record says; all of it where there is
/// none. `size` becomes the file's size. Throws Error for a record that is not right.
std::vector<std::pair<std::uint64_t, std::uint64_t>> parse_extents(const TarMember&, std::uint64_t& size);

}  // namespace drover
