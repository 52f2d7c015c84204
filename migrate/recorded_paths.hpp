#pragma once
#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "migrate/store.hpp"

namespace drover {

/// The paths that a layer's record (its tar-split) names, relative to its root, in 16 bytes each: a record of
/// a few kilobytes may name as many as its maker likes, and of any length. A layer may have kMost of them;
/// sets that are large are held one at a time, whatever number of threads there is, so that all of them
/// together take at most 64 MiB (and a few for each thread). A thread may hold one set at a time.
class RecordedPaths {
 public:
  static constexpr std::size_t kMost = std::size_t{2} << 20;
  using Fingerprint = std::array<std::uint8_t, 16>;
  /// Nobody makes two paths of one.
  static Fingerprint fingerprint(std::string_view path);

  /// Throws Error for more than kMost. Waits where this set becomes a large one and there is another.
  void add(std::string_view path);
  /// To be called once, after all were added.
  void sort();
  bool contains(std::string_view path) const;

 private:
  std::vector<Fingerprint> paths_;
  std::unique_lock<std::mutex> large_;
};

/// Nothing if the layer has no record. Throws Error for one that is damaged.
std::optional<RecordedPaths> recorded_paths(const Dir& data_root, DriverKind, const Digest& chain_id);

}  // namespace drover
