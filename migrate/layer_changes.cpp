#include "migrate/layer_changes.hpp"

#include "drivers/view.hpp"
#include "migrate/recorded_paths.hpp"

namespace drover {

void read_changes(const LayerSource& layer, ChangeSink& sink) {
  const Driver& driver = layer.driver;
  if (driver.form() == LayerForm::delta && layer.base_is_parent) {
    OpenLayer own = driver.open(layer.id);
    bool opaque = opaque_root_hides(driver.marks()) && opacity(driver.marks(), own.root) == Opacity::opaque;
    if (!opaque || layer.root_may_hide) {
      read_delta(own.root, driver.marks(), sink);
      return;
    }
  }
  ViewComparison comparison;
  comparison.marks = driver.marks();
  std::optional<RecordedPaths> recorded;
  if (layer.chain_id && layer.base_is_parent)
    recorded = recorded_paths(*layer.data_root, layer.records, *layer.chain_id);
  comparison.content = !recorded;
  // Of what the record names it is not asked whether it differs: tools forge times, and a delta must have
  // what was added again unchanged.
  if (recorded) comparison.recorded = [&](const std::string& path) { return recorded->contains(path); };
  View now(driver, layer.id);
  std::optional<View> past;
  if (layer.base) past.emplace(driver, *layer.base);
  read_views(now, past ? &*past : nullptr, comparison, sink);
}

}  // namespace drover
