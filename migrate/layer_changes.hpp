#pragma once
#include <optional>

#include "drivers/driver.hpp"
#include "migrate/changes.hpp"
#include "migrate/store.hpp"

namespace drover {

/// What to read as changes, and to what.
struct LayerSource {
  const Driver& driver;
  const LayerId& id;
  std::optional<LayerId> base = {};  ///< what the layer is told as changes to
  bool base_is_parent = true;        ///< and not one further down
  /// Whether the sink can say that a layer's root hides all below it; else that is told name by name.
  bool root_may_hide = true;
  /// Of an image layer: where its record is, and under which driver.
  const Dir* data_root = nullptr;
  DriverKind records = DriverKind::overlay2;
  std::optional<Digest> chain_id = {};
};

/// Tells the layer as its driver shows it: its own entries and marks where the driver keeps those, else by
/// comparison with what the base shows.
void read_changes(const LayerSource&, ChangeSink&);

}  // namespace drover
