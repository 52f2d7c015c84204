#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "drivers/driver.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/changes.hpp"
#include "migrate/plan.hpp"
#include "migrate/store.hpp"

namespace drover {

/// How sure it is that a layer of the target is the source's.
enum class LayerCheck {
  proven,          ///< its tar, rebuilt from the target's files, has the diff ID
  compared,        ///< no tar to rebuild: everything it shows was compared with the source
  damaged_before,  ///< not what its diff ID says, but the source is not either; compared with the source
  renamed,         ///< it is the source's own, and nothing tells what it should be
  not_read,        ///< not looked at, as the user wished
};

/// Where the source is at fault: `what` says in which layer. Code proof_failed, with the ways on as its hint.
Error damaged_source(const std::string& what, bool can_be_carried);

/// Carries layers from one driver's home to another's and proves them there. Calls for different layers may
/// come from several threads at once, a layer's parent first, unless it fills_alone().
class LayerStager {
 public:
  /// `data_root` holds the source's records. All must outlive this.
  LayerStager(const Dir& data_root, const Inventory& inventory, const Plan& plan, const Driver& source,
              Driver& target);

  /// Whether a layer that was made can be filled before its parent is: it is what it changes, and no more.
  bool fills_alone() const { return target_.form() == LayerForm::delta; }
  /// Makes the layer in the target, which must not have it, as a delta without changes or as its parent is.
  /// Its parent must be there. Adds up what had to be made of the parent's files.
  OpenLayer make(const PlannedLayer&, TransferCount&) const;
  /// Puts its content into it, and seals it.
  TransferCount fill(const PlannedLayer&, OpenLayer) const;
  /// Both.
  TransferCount stage(const PlannedLayer& layer) const;

  /// Reads what the layer itself is in the target, and compares. Throws Error (proof_failed) that names what
  /// differs. `allow_damaged`: a layer that is damaged in the source already is no failure.
  /// One that will be renamed is read where it is, an image layer at least.
  LayerCheck prove(const PlannedLayer&, bool allow_damaged);
  /// Of a head, what it shows with all that it stands on, which must be there and is best proven already:
  /// then it need not be read once more where each layer of the stack is alike. Throws Error as prove().
  void prove_whole(const PlannedLayer&) const;

  /// Once one of these has failed: reads all that the source has of the layer, to know on which side the
  /// fault is. What is wrong with the source; empty: nothing. `allow_damaged` as above.
  std::string source_damage(const PlannedLayer&, bool allow_damaged) const;

 private:
  void read_source(const PlannedLayer&, ChangeSink&) const;
  std::optional<LayerId> base_of(const PlannedLayer&) const;
  LayerCheck prove_renamed(const PlannedLayer&, bool allow_damaged) const;
  LayerCheck prove_image_layer(const PlannedLayer&, bool allow_damaged) const;
  void compare(const PlannedLayer&, bool content) const;
  bool compare_alone(const PlannedLayer&, bool content) const;
  bool is_alike(const PlannedLayer&) const;
  unsigned first_proven(const Driver&, const PlannedLayer&) const;

  const Dir& data_root_;
  const Inventory& inventory_;
  const Plan& plan_;
  const Driver& source_;
  Driver& target_;
  std::map<LayerId, const PlannedLayer*> by_id_;
  mutable std::mutex mutex_;
  std::set<LayerId> alike_;  ///< deltas that are the source's, marks included; under the mutex
  std::set<LayerId> whole_;  ///< whose whole view was compared; under the mutex
};

}  // namespace drover
