#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "migrate/layer_store.hpp"
#include "migrate/progress.hpp"

namespace drover {

/// One image layer among all of a host. Positions are those of LayerTree's lists.
struct TreeLayer {
  Digest chain_id;
  LayerId cache_id;
  std::uint64_t size_bytes = 0;  ///< as recorded: this layer alone
  std::optional<HistoryLine> history;
  std::optional<std::size_t> parent;
  std::vector<std::size_t> children;
  std::vector<std::size_t> images;      ///< whose top it is
  std::vector<std::size_t> containers;  ///< that stand on it directly
  LayerUsers users;                     ///< all that stand on it
};

/// An image that the engine shows.
struct TreeImage {
  Digest id;
  std::string name;
  std::vector<std::string> references;
  std::optional<std::size_t> top;
  std::size_t layers = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t shared_bytes = 0;  ///< of layers that other images stand on, too (`docker system df -v`)
  std::uint64_t exclusive_bytes() const { return size_bytes - shared_bytes; }
  std::uint64_t containers = 0;
};

struct TreeContainer {
  std::string id, name;
  std::string image;  ///< as users call it; the short ID of one that is gone
  std::optional<std::size_t> parent;
  LayerId mount_id;
  LayerReading reading;          ///< of its own layer: the numbers alone
  std::uint64_t size_bytes = 0;  ///< of its own layer, as `docker ps -s` shows
  std::uint64_t image_bytes = 0;
};

/// All image layers of a store, with images and containers at their tops.
struct LayerTree {
  DriverKind driver = DriverKind::overlay2;
  bool engine_running = false;
  std::vector<TreeLayer> layers;          ///< depth first, a parent before its children
  std::vector<std::size_t> roots;         ///< the bases
  std::vector<TreeImage> images;          ///< by name
  std::vector<TreeContainer> containers;  ///< by name
  std::uint64_t layer_bytes = 0;          ///< of all image layers, each once
  std::uint64_t shared_bytes = 0;         ///< of those that several images stand on
  std::uint64_t container_bytes = 0;
  std::uint64_t other_layers = 0;  ///< in the driver's home, but of no image or container: the build cache's
  std::vector<StoreProblem> problems;
};

/// Image layers' sizes are those of the records; containers' own layers are read, up to `threads` at a time.
LayerTree read_layer_tree(const LayerStore&, unsigned threads, Progress&);

}  // namespace drover
