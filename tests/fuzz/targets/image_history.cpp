// The history in an image's configuration, matched with a number of layers (the first byte).
#include "migrate/image_history.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(image_history) {
  if (input.empty()) return;
  const std::size_t layers = static_cast<unsigned char>(input[0]) % 8;
  std::vector<HistoryLine> lines = parse_history(std::string(input.substr(1)));
  MatchedHistory matched = match_history(lines, layers);
  promise(matched.lines.size() == layers, "there is one line for each layer");
  std::size_t told = 0, made = 0;
  for (const auto& line : matched.lines) told += line.has_value();
  for (const HistoryLine& line : lines) made += !line.empty_layer;
  promise(told <= made, "no line is told twice");
  if (matched.remark.empty()) promise(told == layers && made == layers, "where nothing is said all fits");
  promise_shown(matched.remark, "a remark is one line of harmless text");
}
