#include "migrate/recorded_paths.hpp"

#include "migrate/tar_split.hpp"

namespace drover {

std::optional<std::unordered_set<std::string>> recorded_paths(const Dir& data_root, DriverKind driver,
                                                              const Digest& chain_id) {
  auto gz = open_tar_split(data_root, driver, chain_id);
  if (!gz) return std::nullopt;
  std::unordered_set<std::string> paths;
  TarSplitReader reader(std::move(*gz));
  for (TarSplitEntry entry; reader.next(entry);)
    if (entry.kind == TarSplitEntry::Kind::file)
      if (auto path = clean_tar_name(entry.name)) paths.insert(std::move(*path));
  return paths;
}

}  // namespace drover
