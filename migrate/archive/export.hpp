#pragma once
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "drivers/driver.hpp"
#include "migrate/archive/byte_stream.hpp"
#include "migrate/progress.hpp"
#include "migrate/store.hpp"

namespace drover {

struct ExportOptions {
  DriverKind driver = DriverKind::overlay2;
  HomeSettings settings;
  /// Images and containers; with them goes what they stand on. Empty: everything.
  std::vector<std::string> names;
};

struct ExportResult {
  std::size_t images = 0, containers = 0, layers = 0;
  std::uint64_t tar_bytes = 0;
  std::vector<std::string> notes;  ///< what an archive does not carry
};

/// Writes an archive (docs/archive-format.md) of a driver's store. Each image layer's tar is put together
/// anew and must have its diff ID. The engine's lock must be held. Throws Error, with the archive cut off,
/// for what cannot be read, is damaged, or has no tar that could be put together.
ExportResult export_archive(const DataRoot&, const ExportOptions&, const ByteSink&, Progress&);

}  // namespace drover
