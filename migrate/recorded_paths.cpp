#include "migrate/recorded_paths.hpp"

#include "drivers/sys/error.hpp"
#include "migrate/tar_split.hpp"

namespace drover {

namespace {
// A small compressed record can name very many files; layers have less than a million.
constexpr std::size_t kMostRecordedBytes = std::size_t{2} << 30;
constexpr std::size_t kBytesOfAPath = 64;
}  // namespace

std::optional<std::unordered_set<std::string>> recorded_paths(const Dir& data_root, DriverKind driver,
                                                              const Digest& chain_id) {
  auto gz = open_tar_split(data_root, driver, chain_id);
  if (!gz) return std::nullopt;
  std::unordered_set<std::string> paths;
  std::size_t bytes = 0;
  TarSplitReader reader(std::move(*gz));
  for (TarSplitEntry entry; reader.next(entry);)
    if (entry.kind == TarSplitEntry::Kind::file)
      if (auto path = clean_tar_name(entry.name)) {
        bytes += path->size() + kBytesOfAPath;
        if (bytes > kMostRecordedBytes)
          throw Error("its tar-split names more files than a layer may have (" +
                      std::to_string(paths.size()) + " and more)");
        paths.insert(std::move(*path));
      }
  return paths;
}

}  // namespace drover
