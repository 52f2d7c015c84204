#include "cmd/selection.hpp"

#include <algorithm>

#include "cmd/render.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

std::string usable_names(const Ranking& ranking) {
  std::vector<std::string> names;
  for (const NamedDriver& d : ranking.drivers)
    if (d.ranked.usable()) names.push_back(d.name);
  return joined(names);
}

[[noreturn]] void refuse(const Ranking& ranking, const NamedDriver& driver) {
  std::string hint = driver.ranked.in_engine ? driver.ranked.probe.fix : "";
  if (std::string others = usable_names(ranking); !others.empty())
    hint += (hint.empty() ? "choose one that is usable here: " : "; or choose another: ") + others;
  throw Error(ExitCode::not_usable,
              "cannot use " + driver.name + " on " + ranking.data_root + ": " + driver.ranked.why, hint);
}

}  // namespace

Ranking rank_on(const std::string& data_root, const std::vector<std::string>& storage_opts,
                const std::vector<std::pair<std::string, DriverKind>>& names, Workload workload,
                const std::optional<EngineVersion>& engine) {
  std::vector<std::pair<DriverKind, Probe>> probes;
  for (const auto& [name, kind] : names)
    probes.emplace_back(kind, driver_entry(kind).probe(data_root, storage_opts));
  Ranking ranking{data_root, {}};
  for (RankedDriver& ranked : rank_drivers(probes, workload, engine)) {
    auto named =
        std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.second == ranked.kind; });
    ranking.drivers.push_back({named->first, std::move(ranked)});
  }
  return ranking;
}

const NamedDriver& choose(const Ranking& ranking, const SelectOptions& options) {
  if (!options.driver) {
    if (ranking.drivers.empty() || !ranking.drivers.front().ranked.usable())
      throw Error(ExitCode::not_usable, "no storage driver is usable on " + ranking.data_root,
                  "drover select --explain says what each of them lacks");
    return ranking.drivers.front();
  }
  std::vector<std::string> names;
  for (const NamedDriver& d : ranking.drivers) {
    names.push_back(d.name);
    if (d.name != *options.driver) continue;
    if (!d.ranked.usable()) refuse(ranking, d);
    return d;
  }
  throw Error(ExitCode::usage, options.engine + " has no storage driver `" + *options.driver + "`",
              "one of " + joined(names));
}

}  // namespace drover
