#pragma once
#include <optional>
#include <string>

#include "migrate/migration_folder.hpp"

namespace drover {

/// A migration writes the configuration that its plan names; in a copy of its data root that is the
/// original's. Makes sure that it is this data root's: `named`, from --config, is taken for a copy, or where
/// it names this root. Throws Error where the plan's is that of another root with this very migration, or
/// `named` is neither.
void settle_config(const Dir& data_root, MigrationFolder&, const std::optional<std::string>& named);

}  // namespace drover
