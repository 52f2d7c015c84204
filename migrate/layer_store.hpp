#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "drivers/driver.hpp"
#include "migrate/image_history.hpp"
#include "migrate/layer_content.hpp"
#include "migrate/store.hpp"

namespace drover {

/// A store opened to look at its layers: nothing is changed, and no lock is kept.
struct LayerStore {
  Dir root;
  std::unique_ptr<Driver> home;
  Inventory inventory;
  /// An engine is at work in the data root: what it writes, and counts, may change at any time.
  bool engine_running = false;
  /// Images without a name that others were built from: the engine shows them with `docker images -a` alone.
  std::set<Digest> intermediates;

  /// Whether the engine's users see it, among those whose layers are shared or not.
  bool shows(const ImageRecord& image) const { return !intermediates.contains(image.id); }
  /// The chain IDs from `top` down to the base.
  std::vector<Digest> chain_of(std::optional<Digest> top) const;
  /// What a container's own layer stands on: its init layer, else its image's top layer.
  std::optional<LayerId> parent_of(const MountRecord&) const;
};

/// Throws Error if there is no such store, or drover cannot read its driver's.
LayerStore open_layer_store(const DataRoot&, DriverKind, const HomeSettings&);

/// The images and containers that stand on a layer, as users call them, sorted.
struct LayerUsers {
  std::set<std::string> images, containers;
};
/// By chain ID; `but_not` names the image or container that is not to be among them (an ID).
std::map<Digest, LayerUsers> users_of_layers(const LayerStore&, const std::string& but_not = {});

/// A layer's content, or why it cannot be read.
struct LayerReading {
  std::optional<LayerContent> content;
  std::string unreadable;
};
/// As read_layer_content. Where an engine is at work and files go away under it, it is tried again a few
/// times. Throws Error only for what ends the command.
LayerReading try_layer_content(const LayerStore&, const ContentQuestion&);

}  // namespace drover
