#pragma once
#include <string>

#include "detect/data_root.hpp"
#include "migrate/archive/import_conflicts.hpp"
#include "migrate/archive/import_record.hpp"
#include "migrate/plan.hpp"
#include "migrate/store.hpp"

namespace drover {

/// Where an import comes from and goes to.
struct ImportSite {
  const DataRoot& root;
  Dir dir;             ///< the data root
  Dir incoming;        ///< what was received, as a data root of its own
  std::string prefix;  ///< its place in the import's folder, with a slash
  DriverKind kind = DriverKind::overlay2;
  HomeSettings settings;
  unsigned threads = 1;
};

/// Throws Error if what was there when the import was planned, and is to stand beside what it brings, is
/// gone.
void require_shared_there(const ImportSite&, const ImportRecord&);

/// The layers of what comes in, with those that are there already. Throws Error if the others have no room.
Plan plan_layers(const ImportSite&, const Inventory& incoming, const Inventory& there);

/// All that is to be done to the data root, and that in short. Throws Error if it cannot be done.
ImportRecord plan_import(const ImportSite&, const Inventory& incoming, const Inventory& there,
                         const Settled&);

}  // namespace drover
