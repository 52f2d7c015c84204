#pragma once
#include <functional>
#include <string>
#include <vector>

#include "drivers/entry_placer.hpp"
#include "drivers/sys/dir.hpp"
#include "migrate/migration_record.hpp"
#include "migrate/plan.hpp"
#include "migrate/store.hpp"

namespace drover {

constexpr const char* kVolumes = "volumes";  ///< of a data root

/// All that a data root holds besides layers, for a move into another root: Docker's records, containers, the
/// build cache's records, volumes, networks, plugins, swarm, and what no engine has made. It is carried as it
/// is, byte for byte, but for each container's driver and the paths that the engine has written down
/// (root_paths.hpp). Left out are layers, drover's own folder, the engine's scratch (`tmp`), `lost+found`,
/// and of other drivers' stores their records and containers, since their layers do not come along.

/// Whether a path below the root ("volumes/data") is left out.
std::function<bool(const std::string& path)> left_out_of_move(const Inventory&);

/// What of it there is, for the plan.
struct RootRest {
  std::vector<std::string> names;    ///< at the root's top, sorted
  std::vector<std::string> foreign;  ///< those of them that no engine has made
  LayerFacts facts;                  ///< of all of it and of image/<driver>, an upper bound
  std::uint64_t volumes = 0;
  std::vector<std::string> left;  ///< in words: what stays behind and is no scratch
};
/// Reads directories only. Throws Error for a symlink at the root's top, which would lead out of it.
RootRest survey_rest(const Dir& old_root, const Inventory&);

/// Carries it into the new root, beside what is there: the target's home, drover's folder. What an earlier
/// try has put there is made anew. Throws Error for what neither of them has put there.
TransferCount stage_rest(const Dir& old_root, const Inventory&, const MigrationRecord&, const Dir& new_root);

/// Compares all of it with the old root's, byte by byte. Throws Error (proof_failed) that names what differs.
void prove_rest(const Dir& old_root, const Inventory&, const MigrationRecord&, const Dir& new_root);

/// What is at a new root's top, apart from drover's folder and `lost+found`.
struct RootEntries {
  std::vector<std::string> ours;     ///< carried, or an engine's
  std::vector<std::string> foreign;  ///< somebody else's
};
/// `carried`: names that were, besides those that engines give.
RootEntries entries_of(const Dir& new_root, const std::vector<std::string>& carried);

}  // namespace drover
