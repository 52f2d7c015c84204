#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace drover {

/// A size as Docker's users write it ("10G", "1.5 gb", "512MiB", "4096"), always in powers of 1024 (go-units,
/// RAMInBytes); nothing if it is none.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// Decimal, four significant digits: "1.234GB", as the engine writes sizes (docker/go-units HumanSize).
std::string human_size(std::uint64_t bytes);

}  // namespace drover
