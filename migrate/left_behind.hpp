#pragma once
#include <map>
#include <string>
#include <vector>

#include "migrate/plan.hpp"
#include "migrate/store.hpp"

namespace drover {

/// What each layer in the source's home is like, by its ID there.
using FactsOfLayers = std::map<LayerId, LayerFacts>;

/// Takes out of an inventory, and out of the facts, the parts that damage is about, and all that stands on
/// them or needs them: layers on a damaged layer, images of such layers and containers on them. Sound layers
/// that only a left image stood on stay. Each part that is gone is in `left` then, with the damage that it is
/// gone for. Of problems that are not fatal two kinds count: those of the build cache, since BuildKit fails
/// where a layer that it knows is gone, and tags whose image is lost. Pure; every parent in the inventory is
/// in the facts or left behind.
void leave_behind(Inventory&, FactsOfLayers&, const std::vector<StoreProblem>& damage);

/// Which part of a store each layer in the home belongs to, and that part's name.
class LayerOwners {
 public:
  explicit LayerOwners(const Inventory&);
  /// Nothing for a stray one; one of BuildKit's own belongs to the build cache.
  std::map<Part, std::string> of(const LayerId&) const;
  /// Those that the inventory names.
  const std::map<LayerId, std::pair<Part, std::string>>& named() const { return named_; }

 private:
  std::map<LayerId, std::pair<Part, std::string>> named_;
};

/// The build cache's records name layers, and nothing but BuildKit edits them: whether they name one that is
/// left behind. Then they are of use to nobody, and this is the problem with them; empty: there is none.
std::vector<StoreProblem> build_cache_problems(const Dir& data_root, const LeftBehind&);

/// "image app:1", "container web", "the build cache".
std::string describe(const Part&, const LeftPart&);
std::string_view kind_name(Part::Kind);
/// The first ten of those that users have names for, and how many more there are; else the number of layers.
std::string names_of(const LeftBehind&);

}  // namespace drover
