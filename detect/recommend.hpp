#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "detect/data_root.hpp"
#include "drivers/driver.hpp"

namespace drover {

/// What the containers of a host mostly do.
enum class Workload { general, write_heavy, many_containers, low_memory, snapshots };
constexpr std::array kWorkloads = {Workload::general, Workload::write_heavy, Workload::many_containers,
                                   Workload::low_memory, Workload::snapshots};
std::string_view workload_name(Workload);  ///< "write-heavy"
std::optional<Workload> find_workload(std::string_view name);

/// How well a driver serves one workload: 0 (do not) to 10 (made for it), and why.
struct Verdict {
  int score;
  std::string_view why;
};

/// What is known of a driver, whatever the host: short texts for a table.
struct DriverTraits {
  DriverKind kind;
  std::string_view maturity;
  std::string_view copy_up_unit;  ///< what the first write to a file of an image copies
  std::string_view copy_up_cost;
  std::string_view page_cache;  ///< whether containers share the cached pages of one image
  std::string_view density;     ///< how many containers a host carries
  std::string_view memory;
  std::string_view needs;
  std::array<Verdict, kWorkloads.size()> verdicts;  ///< in the order of kWorkloads
  const Verdict& verdict(Workload w) const { return verdicts[static_cast<std::size_t>(w)]; }
};
const DriverTraits& driver_traits(DriverKind);

/// One driver's place in a ranking.
struct RankedDriver {
  DriverKind kind;
  Probe probe;
  bool in_engine;   ///< the installed engine (a current one, if none is known) has this driver
  int score;        ///< of the workload, less one for limits; 0 where it cannot be used
  std::string why;  ///< for or against it; limits are in the probe's reason
  bool usable() const { return in_engine && probe.usable != Probe::Usable::no; }
};

/// Best first: usable before not usable, then drivers that current engines have, then by score, then in the
/// order in which a current engine looks for them.
std::vector<RankedDriver> rank_drivers(const std::vector<std::pair<DriverKind, Probe>>& probes, Workload,
                                       const std::optional<EngineVersion>&);

/// The first of a ranking, if it is usable.
std::optional<DriverKind> recommended_driver(const std::vector<RankedDriver>&);

}  // namespace drover
