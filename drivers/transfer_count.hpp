#pragma once
#include <cstdint>

namespace drover {

/// What was moved, and how.
struct TransferCount {
  std::uint64_t linked = 0, reflinked = 0, copied = 0;  ///< regular files
  std::uint64_t copied_bytes = 0;
  std::uint64_t directories = 0, others = 0, hidden = 0;
  TransferCount& operator+=(const TransferCount&);
};

}  // namespace drover
