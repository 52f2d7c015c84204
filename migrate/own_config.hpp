#pragma once
#include <optional>
#include <string>

#include "migrate/migration_folder.hpp"

namespace drover {

/// A migration writes the configuration that its plan names; in a copy of its data root that is the
/// original's, and in a root that somebody else has made it may be any file. Makes sure that it is this data
/// root's: the plan's is taken where it names this root (of a move, the new one, or the old one that has the
/// pointer), or where `named`, from --config, is the same; another that is `named` for a copy, or where it
/// names this root. Throws Error where the plan's is that of another root with this very migration, or
/// neither is to be had.
void settle_config(const Dir& data_root, MigrationFolder&, const std::optional<std::string>& named);

}  // namespace drover
