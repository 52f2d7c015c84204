#include "detect/recommend.hpp"

#include <algorithm>
#include <tuple>

namespace drover {

namespace {

constexpr std::string_view kWorkloadNames[] = {"general", "write-heavy", "many-containers", "low-memory",
                                               "snapshots"};

std::string why_not_in_engine(DriverKind kind, const std::optional<EngineVersion>& engine) {
  std::string installed = engine ? "the installed engine (" + engine->text + ")" : "a current engine";
  if (auto last = last_engine_with(kind); last && (!engine || engine->major > *last))
    return installed + " no longer has it; the last that had it is " + std::to_string(*last);
  return installed + " does not have it yet";
}

bool engine_has(DriverKind kind, const std::optional<EngineVersion>& engine) {
  const std::vector<DriverKind> known = priority_list(engine);
  return std::find(known.begin(), known.end(), kind) != known.end();
}

RankedDriver judge(DriverKind kind, const Probe& probe, Workload workload,
                   const std::optional<EngineVersion>& engine) {
  const DriverTraits& traits = driver_traits(kind);
  RankedDriver ranked{kind, probe, engine_has(kind, engine), 0, {}};
  if (!ranked.in_engine) {
    ranked.why = why_not_in_engine(kind, engine);
  } else if (probe.usable == Probe::Usable::no) {
    ranked.why = probe.reason;
  } else {
    ranked.score = traits.verdict(workload).score;
    ranked.why = traits.verdict(workload).why;
    if (probe.usable == Probe::Usable::with_limits) ranked.score = std::max(0, ranked.score - 1);
  }
  return ranked;
}

}  // namespace

std::string_view workload_name(Workload workload) {
  return kWorkloadNames[static_cast<std::size_t>(workload)];
}

std::optional<Workload> find_workload(std::string_view name) {
  for (Workload w : kWorkloads)
    if (workload_name(w) == name) return w;
  return std::nullopt;
}

std::vector<RankedDriver> rank_drivers(const std::vector<std::pair<DriverKind, Probe>>& probes,
                                       Workload workload, const std::optional<EngineVersion>& engine) {
  std::vector<RankedDriver> ranked;
  for (const auto& [kind, probe] : probes) ranked.push_back(judge(kind, probe, workload, engine));
  auto place = [](const RankedDriver& r) {
    return std::tuple(!r.usable(), !r.in_engine, last_engine_with(r.kind).has_value(), -r.score, r.kind);
  };
  std::stable_sort(ranked.begin(), ranked.end(),
                   [&](const RankedDriver& a, const RankedDriver& b) { return place(a) < place(b); });
  return ranked;
}

std::optional<DriverKind> recommended_driver(const std::vector<RankedDriver>& ranked) {
  if (ranked.empty() || !ranked.front().usable()) return std::nullopt;
  return ranked.front().kind;
}

}  // namespace drover
