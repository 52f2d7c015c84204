#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace drover {

/// CRC-64/ISO as Go's hash/crc64 has it: reflected, the register inverted before and after.
class Crc64 {
 public:
  void update(std::string_view bytes) {
    for (unsigned char byte : bytes) register_ = kTable[(register_ ^ byte) & 0xff] ^ register_ >> 8;
  }
  std::uint64_t value() const noexcept { return ~register_; }

 private:
  static constexpr std::array<std::uint64_t, 256> kTable = [] {
    std::array<std::uint64_t, 256> table{};
    for (std::uint64_t i = 0; i < table.size(); ++i) {
      std::uint64_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xd800000000000000 : crc >> 1;
      table[i] = crc;
    }
    return table;
  }();
  std::uint64_t register_ = ~std::uint64_t{0};
};

}  // namespace drover
