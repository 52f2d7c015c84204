#pragma once
#include <string>

#include "drivers/driver.hpp"
#include "drivers/probe_backing.hpp"
#include "migrate/plan.hpp"
#include "migrate/stage_root.hpp"

namespace drover {

/// What a home can hold, for a plan, without what is needed beside its layers. `root` is the data root that
/// it is in, `backing` that one's filesystem.
TargetFacts facts_of_home(const Driver& target, const Driver& source, const std::string& root,
                          const BackingFilesystem& backing);

/// What the place where the target's home will be can do, for the plan. `root` is the data root that it will
/// be in, `backing` that one's filesystem, `dir` the one that the records of the inventory are in now; `rest`
/// is what else goes along, where the two are not the same. Throws Error if the records alone have no room.
TargetFacts look_at_target(const std::string& root, const BackingFilesystem& backing, DriverKind to,
                           const HomeSettings&, const Driver& source, const Dir& dir, const Inventory&,
                           const RootRest* rest);

}  // namespace drover
