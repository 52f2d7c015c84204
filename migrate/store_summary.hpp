#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "drivers/driver.hpp"
#include "migrate/store.hpp"

namespace drover {

/// One driver's store in a data root, as `drover info` tells of it.
struct StoreSummary {
  std::string driver;  ///< as the folders and containers spell it, also where drover knows no such driver
  bool active = false;
  /// Counted from the records that the engine would load. Nothing: drover cannot read this driver's records.
  std::optional<std::uint64_t> images, containers, layers;
  std::optional<std::uint64_t> build_cache;  ///< BuildKit's own layers in the home
  std::optional<std::uint64_t> orphans;      ///< layers in the home that no record names
  /// Disk space of the home, each inode once, without what is mounted in it. Nothing: not asked for.
  std::optional<std::uint64_t> bytes;
  bool bytes_shared = false;  ///< files may share blocks (snapshots, reflinks): `bytes` is an upper bound
  std::string hidden_reason;  ///< why the engine does not show it; empty if it does
  std::vector<StoreProblem> problems;
};

/// Every store: homes that are not empty, records in `image/`, and drivers that only containers name. The
/// active one first. Throws SystemError where the data root cannot be read.
std::vector<StoreSummary> summarize_stores(const DataRoot&, const std::vector<std::string>& storage_opts,
                                           const CurrentDriver&, const std::optional<EngineVersion>&,
                                           bool reflink, bool with_bytes);

/// Why an engine with this current driver does not show a store of `driver`; empty if it does.
std::string hidden_reason(const std::string& driver, const CurrentDriver&,
                          const std::optional<EngineVersion>&);

/// Disk space of a folder: blocks of each inode once, mounts in it left out.
std::uint64_t disk_usage(const Dir&);

}  // namespace drover
