#include "drivers/sys/size_text.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <string>

namespace drover {

std::optional<std::uint64_t> parse_size(std::string_view text) {
  double number = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || text[0] < '0' || text[0] > '9') return std::nullopt;  // nor "inf"
  std::string unit(text.substr(static_cast<std::size_t>(end - text.data())));
  for (char& c : unit)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (unit.starts_with(' ')) unit.erase(0, 1);
  constexpr std::string_view kUnits = "kmgtp";
  if (!unit.empty() && unit != "b") {
    std::size_t power = kUnits.find(unit[0]);
    std::string rest = unit.substr(1);
    if (power == std::string_view::npos || (!rest.empty() && rest != "b" && rest != "ib"))
      return std::nullopt;
    number = std::ldexp(number, 10 * (static_cast<int>(power) + 1));
  }
  if (number >= std::ldexp(1.0, 63)) return std::nullopt;
  return static_cast<std::uint64_t>(number);
}

std::string human_size(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 1000.0 && unit + 1 < std::size(kUnits); ++unit) size /= 1000.0;
  char text[32];
  std::snprintf(text, sizeof text, "%.4g%s", size, kUnits[unit]);
  return text;
}

}  // namespace drover
