#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "migrate/layer_store.hpp"
#include "migrate/plan.hpp"
#include "migrate/progress.hpp"

namespace drover {

/// One layer of what an image or a container shows.
struct StackLayer {
  LayerRole role = LayerRole::image;
  LayerId id;                      ///< cache ID, init ID or mount ID
  std::optional<Digest> chain_id;  ///< of an image layer
  /// As the engine has it: recorded for an image layer (`docker history`), counted for others (`docker ps
  /// -s`).
  std::uint64_t size_bytes = 0;
  std::optional<HistoryLine> history;
  LayerUsers shared_by;  ///< all that stand on it but the one asked about
  std::string place;     ///< Driver::place_of
  LayerReading reading;
};

/// What a container's first write to a file costs under a driver.
enum class WriteCost {
  whole_files,     ///< the whole file is copied up
  changed_blocks,  ///< its layer is a snapshot: only the blocks that are written
  nothing,         ///< its layer is a copy of everything to begin with
};

/// An image or a container from its top down to the base.
struct LayerStack {
  DriverKind driver = DriverKind::overlay2;
  bool engine_running = false;
  bool is_container = false;
  std::string id, name;
  std::vector<std::string> references;  ///< of the image, or of the container's image
  std::optional<Digest> image;          ///< the container's; none: it is gone, or of no use
  std::vector<StackLayer> layers;       ///< top first
  std::string history_remark;           ///< as in MatchedHistory
  WriteCost write_cost = WriteCost::whole_files;
  /// Of all layers but the init layer: a container's virtual size, as the engine counts it.
  std::uint64_t size_bytes() const;
  /// A container's own layer.
  const StackLayer* writable() const { return is_container && !layers.empty() ? &layers.front() : nullptr; }
};

/// Reads the stack of what `name` means (see find_subject): every layer's content, up to `threads` at a time.
/// `listed`: how many files to name of each kind and layer.
LayerStack read_layer_stack(const LayerStore&, const std::string& name, std::size_t listed, unsigned threads,
                            Progress&);

}  // namespace drover
