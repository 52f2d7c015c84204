#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace drover::fuzz {

/// Contents of a target's seeds and finds, sorted by name. Throws std::runtime_error if it has no seeds.
std::vector<std::string> inputs_of(std::string_view target);
/// The names of the folders in `seeds/` and `finds/`, sorted, each once.
std::vector<std::string> input_folders();

}  // namespace drover::fuzz
