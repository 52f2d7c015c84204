#include "migrate/archive/extents_record.hpp"

#include <algorithm>
#include <charconv>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/archive/changes_writer.hpp"

namespace drover {

std::vector<std::pair<std::uint64_t, std::uint64_t>> parse_extents(const TarMember& member,
                                                                   std::uint64_t& size) {
  size = member.size;
  auto record = member.drover.find(kExtentsRecord);
  if (record == member.drover.end()) return {{0, size}};
  std::string_view rest = record->second;
  auto number = [&](char end) {
    std::uint64_t value = 0;
    auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    std::size_t used = static_cast<std::size_t>(stop - rest.data());
    bool at_end = used == rest.size() && end == ' ';
    if (error != std::errc{} || (!at_end && (used >= rest.size() || rest[used] != end)) ||
        value > static_cast<std::uint64_t>(INT64_MAX))
      throw Error("`" + printable(member.name) + "` says wrongly where its holes are");
    rest.remove_prefix(std::min(used + 1, rest.size()));
    return value;
  };
  size = number(' ');
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents;
  std::uint64_t end = 0, sum = 0;
  while (!rest.empty()) {
    std::uint64_t at = number('+'), length = number(' ');
    if (at < end || length > size || at > size - length)
      throw Error("`" + printable(member.name) + "` says wrongly where its holes are");
    extents.emplace_back(at, length);
    end = at + length;
    sum += length;
  }
  if (sum != member.size) throw Error("`" + printable(member.name) + "` says wrongly where its holes are");
  return extents;
}

}  // namespace drover
