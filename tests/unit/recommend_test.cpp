#include "detect/recommend.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace drover;

namespace {
using Usable = Probe::Usable;

constexpr DriverKind kAll[] = {
    DriverKind::overlay2, DriverKind::fuse_overlayfs, DriverKind::btrfs,        DriverKind::zfs,
    DriverKind::vfs,      DriverKind::aufs,           DriverKind::devicemapper, DriverKind::overlay};

Probe probe(Usable usable, const std::string& reason = {}) {
  Probe p;
  p.usable = usable;
  p.reason = reason;
  return p;
}

std::vector<std::pair<DriverKind, Probe>> all_usable() {
  std::vector<std::pair<DriverKind, Probe>> probes;
  for (DriverKind kind : kAll) probes.emplace_back(kind, probe(Usable::yes));
  return probes;
}

EngineVersion engine(int major) { return {major, 0, std::to_string(major) + ".0"}; }

std::vector<DriverKind> order(const std::vector<RankedDriver>& ranked) {
  std::vector<DriverKind> kinds;
  for (const auto& r : ranked) kinds.push_back(r.kind);
  return kinds;
}
}  // namespace

TEST_CASE("the general order is the one of a current engine, removed drivers last") {
  auto ranked = rank_drivers(all_usable(), Workload::general, engine(23));
  CHECK(order(ranked) == std::vector{DriverKind::overlay2, DriverKind::fuse_overlayfs, DriverKind::btrfs,
                                     DriverKind::zfs, DriverKind::vfs, DriverKind::aufs,
                                     DriverKind::devicemapper, DriverKind::overlay});
  CHECK(recommended_driver(ranked) == DriverKind::overlay2);
}

TEST_CASE("a driver that the engine no longer has, or not yet, is not usable and says so") {
  auto why = [](int major, DriverKind kind) {
    auto ranked = rank_drivers(all_usable(), Workload::general, engine(major));
    auto r =
        std::find_if(ranked.begin(), ranked.end(), [&](const RankedDriver& d) { return d.kind == kind; });
    CHECK(r->usable() == r->in_engine);
    return r->in_engine ? "" : r->why;
  };
  CHECK(why(23, DriverKind::aufs) == "");
  CHECK(why(24, DriverKind::aufs) ==
        "the installed engine (24.0) no longer has it; the last that had it is 23");
  CHECK(why(24, DriverKind::overlay) != "");
  CHECK(why(24, DriverKind::devicemapper) == "");
  CHECK(why(25, DriverKind::devicemapper) != "");
  CHECK(why(29, DriverKind::vfs) == "");
  CHECK(why(19, DriverKind::fuse_overlayfs) == "the installed engine (19.0) does not have it yet");
}

TEST_CASE("without a known engine a current one is assumed") {
  for (const auto& r : rank_drivers(all_usable(), Workload::general, std::nullopt))
    CHECK(r.in_engine == (r.kind <= DriverKind::vfs));
}

TEST_CASE("each workload has its first choice") {
  auto best = [](Workload w) { return recommended_driver(rank_drivers(all_usable(), w, engine(28))); };
  CHECK(best(Workload::general) == DriverKind::overlay2);
  CHECK(best(Workload::write_heavy) == DriverKind::zfs);
  CHECK(best(Workload::many_containers) == DriverKind::overlay2);
  CHECK(best(Workload::low_memory) == DriverKind::overlay2);
  CHECK(best(Workload::snapshots) == DriverKind::btrfs);
}

TEST_CASE("what is not usable ranks last with the probe's reason; limits cost a point") {
  auto ranked = rank_drivers({{DriverKind::overlay2, probe(Usable::no, "no d_type")},
                              {DriverKind::btrfs, probe(Usable::with_limits, "no quota")},
                              {DriverKind::zfs, probe(Usable::no, "no /dev/zfs")},
                              {DriverKind::vfs, probe(Usable::yes)}},
                             Workload::general, engine(28));
  CHECK(order(ranked) ==
        std::vector{DriverKind::btrfs, DriverKind::vfs, DriverKind::overlay2, DriverKind::zfs});
  CHECK(ranked[0].score == driver_traits(DriverKind::btrfs).verdict(Workload::general).score - 1);
  CHECK(ranked[0].why == driver_traits(DriverKind::btrfs).verdict(Workload::general).why);
  CHECK(ranked[0].probe.reason == "no quota");
  CHECK(ranked[2].why == "no d_type");
  CHECK(ranked[2].score == 0);
}

TEST_CASE("nothing usable, nothing recommended") {
  CHECK_FALSE(recommended_driver({}));
  CHECK_FALSE(recommended_driver(
      rank_drivers({{DriverKind::zfs, probe(Usable::no)}}, Workload::general, engine(28))));
}

TEST_CASE("the table of traits is complete and in order") {
  for (DriverKind kind : kAll) {
    const DriverTraits& t = driver_traits(kind);
    CHECK(t.kind == kind);
    for (std::string_view text :
         {t.maturity, t.copy_up_unit, t.copy_up_cost, t.page_cache, t.density, t.memory, t.needs})
      CHECK_FALSE(text.empty());
    for (Workload w : kWorkloads) CHECK_FALSE(t.verdict(w).why.empty());
  }
  for (Workload w : kWorkloads) CHECK(find_workload(workload_name(w)) == w);
  CHECK_FALSE(find_workload("desktop"));
}
