#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace drover {

/// A size as Docker's users write it ("10G", "1.5 gb", "512MiB", "4096"), always in powers of 1024 (go-units,
/// RAMInBytes); nothing if it is none.
std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace drover
