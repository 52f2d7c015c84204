#include "tests/fuzz/inputs.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>

namespace drover::fuzz {

namespace {

namespace fs = std::filesystem;

std::set<fs::path> files_in(const fs::path& folder) {
  std::set<fs::path> files;
  if (fs::exists(folder))
    for (const auto& entry : fs::directory_iterator(folder)) files.insert(entry.path());
  return files;
}

}  // namespace

std::vector<std::string> inputs_of(std::string_view target) {
  std::vector<std::string> inputs;
  std::set<fs::path> seeds = files_in(fs::path(FUZZ_DIR) / "seeds" / target);
  if (seeds.empty()) throw std::runtime_error("no seeds for " + std::string(target));
  for (const std::set<fs::path>& files : {seeds, files_in(fs::path(FUZZ_DIR) / "finds" / target)})
    for (const fs::path& file : files) {
      std::ifstream in(file, std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  return inputs;
}

std::vector<std::string> input_folders() {
  std::set<std::string> names;
  for (const char* kind : {"seeds", "finds"})
    for (const fs::path& folder : files_in(fs::path(FUZZ_DIR) / kind)) names.insert(folder.filename());
  return {names.begin(), names.end()};
}

}  // namespace drover::fuzz
