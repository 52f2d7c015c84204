#include "migrate/recorded_paths.hpp"

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/tar_split.hpp"

namespace drover {

namespace {

/// From here on a set is a large one: 2 MiB.
constexpr std::size_t kLargeSet = 128 << 10;

std::mutex& large_set() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

/// Of SHA-256.
RecordedPaths::Fingerprint RecordedPaths::fingerprint(std::string_view path) {
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, path.size(), reinterpret_cast<const std::uint8_t*>(path.data()));
  Fingerprint fingerprint;
  sha256_digest(&context, fingerprint.size(), fingerprint.data());
  return fingerprint;
}

void RecordedPaths::add(std::string_view path) {
  if (paths_.size() == kMost)
    throw Error("its tar-split names more than " + std::to_string(kMost) +
                    " files, and drover reads no layer of more",
                "remove what uses this layer with the engine, or divide its image into more layers");
  if (paths_.size() == kLargeSet) large_ = std::unique_lock(large_set());
  paths_.push_back(fingerprint(path));
}

void RecordedPaths::sort() { std::sort(paths_.begin(), paths_.end()); }

bool RecordedPaths::contains(std::string_view path) const {
  return std::binary_search(paths_.begin(), paths_.end(), fingerprint(path));
}

std::optional<RecordedPaths> recorded_paths(const Dir& data_root, DriverKind driver, const Digest& chain_id) {
  auto gz = open_tar_split(data_root, driver, chain_id);
  if (!gz) return std::nullopt;
  std::optional<RecordedPaths> paths(std::in_place);
  TarSplitReader reader(std::move(*gz));
  for (TarSplitEntry entry; reader.next(entry);)
    if (entry.kind == TarSplitEntry::Kind::file)
      if (auto path = clean_tar_name(entry.name)) paths->add(*path);
  paths->sort();
  return paths;
}

}  // namespace drover
