#pragma once
#include <iosfwd>
#include <optional>
#include <vector>

#include "detect/report.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/store_summary.hpp"

namespace drover {

/// What `drover info` tells: the host's report, and the stores in the data root.
struct InfoReport {
  HostReport host;
  std::optional<std::vector<StoreSummary>> stores;  ///< nothing: they cannot be read
  std::optional<OpenMigration> migration;           ///< one that is not committed yet
};

/// In the manner of `docker info`.
void print_info_text(std::ostream& out, const InfoReport&);
/// The schema of docs/info-schema.md.
void print_info_json(std::ostream& out, const InfoReport&);

/// What is said of one driver: usable or not, why (or the limits), and what to do about it.
struct DriverAnswer {
  Probe::Usable level;
  std::string reason, evidence, fix;
};
/// A driver that works here but is not in the installed engine is not usable.
DriverAnswer driver_answer(const RankedDriver&);

}  // namespace drover
