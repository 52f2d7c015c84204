// drover_fuzz: any target, by libFuzzer. $DROVER_FUZZ_TARGET names it, since libFuzzer starts itself anew
// with arguments of its own. tests/fuzz/run calls it.
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "tests/fuzz/target.hpp"

using namespace drover::fuzz;

namespace {

const Target* chosen_target() {
  const char* name = std::getenv("DROVER_FUZZ_TARGET");
  const Target* target = find_target(name ? name : "");
  if (target) return target;
  std::cerr << "DROVER_FUZZ_TARGET names none of the targets:\n";
  for (const Target& known : targets()) std::cerr << known.name << "\n";
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Target* target = chosen_target();
  try {
    run_target(*target, {reinterpret_cast<const char*>(data), size});
  } catch (const BrokenPromise& broken) {
    std::cerr << "broken promise: " << broken.what << std::endl;
    std::abort();
  }
  return 0;
}
