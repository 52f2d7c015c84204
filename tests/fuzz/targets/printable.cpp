// printable() and as_utf8(): what is made of bytes for messages and for JSON.
#include "drivers/sys/printable.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(printable) {
  const std::string shown = drover::printable(input), utf8 = as_utf8(input);
  for (unsigned char c : shown) promise(c >= 0x20 && c != 0x7f, "no control character is left");
  promise_same(drover::printable(shown), shown, "what is printable stays as it is");
  promise_same(as_utf8(shown), shown, "what is printable is UTF-8");
  promise_same(as_utf8(utf8), utf8, "UTF-8 stays as it is");
  promise(shown.size() <= 4 * input.size() && utf8.size() <= 3 * input.size(),
          "it does not grow without bounds");
}
