#pragma once
#include <cstddef>
#include <cstdint>

/// As libFuzzer calls it (llvm.org/docs/LibFuzzer.html).
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
