// Lines of a gzip stream, whole and damaged.
#include "migrate/gzip_lines.hpp"

#include "tests/fuzz/target.hpp"
#include "tests/support/tar_split_writer.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

std::string inflated_lines(std::string_view packed) {
  GzipLines lines(test::memory_file(packed));
  std::string text;
  for (std::string_view line; lines.next(line);) {
    promise(line.find('\n') == std::string_view::npos, "a line is one line");
    (text += line) += '\n';
  }
  return text;
}

}  // namespace

FUZZ_TARGET(gzip_lines) {
  std::string wanted;
  for (const std::string& line : lines_of(input)) (wanted += line) += '\n';
  const std::string packed = test::gzip(input);
  promise_same(inflated_lines(packed), wanted, "what was compressed comes out");
  promise_same(inflated_lines(packed + packed),
               inflated_lines(test::gzip(std::string(input) + std::string(input))),
               "two members are one stream");
  if (!input.empty())
    promise(refused([&] { inflated_lines(std::string_view(packed).substr(0, packed.size() - 1)); }),
            "a stream that is cut is refused");
  inflated_lines(input);
}
