#pragma once
#include <cstdint>

#include "drivers/sys/dir.hpp"

namespace drover {

/// Stops a stream of unknown length before the filesystem that it is written to is full, and everything else
/// on the host stops with it.
class RoomGuard {
 public:
  /// `on` must outlive this.
  explicit RoomGuard(const Dir& on) : on_(on) {}
  /// Throws Error if hardly any room is left.
  void wrote(std::uint64_t bytes);

 private:
  const Dir& on_;
  std::uint64_t unchecked_bytes_ = 0;
};

}  // namespace drover
