#include "drivers/sys/crc32c.hpp"

#include <array>

namespace drover {

namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  constexpr std::uint32_t kPolynomial = 0x82f63b78;  // reflected
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? kPolynomial : 0);
    table[i] = value;
  }
  return table;
}

}  // namespace

std::uint32_t crc32c(std::uint32_t seed, std::string_view bytes) {
  static constexpr auto kTable = make_table();
  for (char c : bytes) seed = (seed >> 8) ^ kTable[(seed ^ static_cast<unsigned char>(c)) & 0xff];
  return seed;
}

}  // namespace drover
