#pragma once
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "migrate/plan.hpp"
#include "tests/conformance/tree_hand.hpp"

namespace drover::test {

/// One layer of the stack that every driver is put through, and what is done in it.
struct ScriptLayer {
  const char* name;
  LayerRole role;
  void (*write)(TreeHand&);
  /// Whether each driver makes the same of it. A delta's root that nobody touched is not its parent's; and
  /// where a layer links one of a lower's linked names, a delta tears the group and a tree does not.
  bool same_everywhere = true;
  LayerId id() const;
};

/// An image of four layers and a container of it with an init layer, bottom first: all kinds of entries and
/// all kinds of changes.
const std::vector<ScriptLayer>& layer_script();

/// The parent of layer `i` of the script.
std::optional<LayerId> parent_of(std::size_t i);

/// A layer ID that follows from a text.
LayerId id_of(const std::string& text);

/// Files of the script that tests look at by name.
constexpr const char* kBigFile = "data/big";        ///< of the base, then of every view
constexpr const char* kSparseFile = "data/sparse";  ///< the same; kSparseSize bytes, nearly all of it a hole
constexpr off_t kSparseSize = 32 << 20;
constexpr const char* kContainerFile = "var/container-data";  ///< made in the container

}  // namespace drover::test
