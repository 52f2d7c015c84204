#pragma once
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "detect/engine_config.hpp"
#include "drivers/probe_backing.hpp"
#include "migrate/root_move.hpp"
#include "migrate/stage_root.hpp"

namespace drover {

/// What must hold before a data root can move, besides what every migration asks. Throws Error: something is
/// mounted below either root, the command line of the engine names the root, the new filesystem cannot be
/// written to or holds no extended attributes, the driver keeps layers outside of the root.
void check_root_move(const RootMove&, const EngineConfig&, const BackingFilesystem& target, DriverKind to);

/// What the user should know of it, for the plan.
std::vector<std::string> notes_of_move(const RootMove&, const DataRoot&, const Dir& old_root,
                                       const EngineConfig&, const BackingFilesystem& target, const RootRest&);

/// Whether both roots lie on one filesystem, so that files can be cloned between them.
bool on_one_filesystem(const RootMove&);

}  // namespace drover
