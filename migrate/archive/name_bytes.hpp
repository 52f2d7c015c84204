#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "drivers/sys/error.hpp"

namespace drover {

/// What the names of a layer's entries take in memory, about. Each may have 64 KiB and a compressed record,
/// or a deep directory, holds very many: more than kMost are refused, which is those of two million files and
/// more.
class NameBytes {
 public:
  static constexpr std::size_t kMost = 512 << 20;

  void add(std::string_view name) {
    bytes_ += kEach + name.size();
    if (bytes_ > kMost)
      throw Error("it has more names, or longer ones, than drover keeps: " + std::to_string(kMost >> 20) +
                      " MiB of them",
                  "divide an image's layer into several; of a container's, remove what is nested so deep");
  }
  void remove(std::string_view name) { bytes_ -= kEach + name.size(); }

 private:
  static constexpr std::size_t kEach = 128;  ///< a node of a map, and what is known of the name
  std::size_t bytes_ = 0;
};

}  // namespace drover
