#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "migrate/store.hpp"

namespace drover {

struct ArchivedImage {
  Digest id;
  std::vector<std::string> references;
  std::optional<Digest> parent;  ///< the image that it was built on, where the engine knows
  std::string last_updated;      ///< as the engine wrote it; empty: it did not
};

struct ArchivedLayer {
  Digest chain_id, diff_id;
  std::optional<Digest> parent;
  std::uint64_t size_bytes = 0;  ///< as LayerRecord
  std::uint64_t tar_bytes = 0;
};

struct ArchivedContainer {
  std::string id, name;
  std::optional<Digest> parent;  ///< chain ID of its image's top layer
  bool has_init = false;
};

/// What an archive holds, said at its beginning: drover/archive.json (docs/archive-format.md).
struct ArchiveHead {
  std::vector<ArchivedImage> images;
  std::vector<ArchivedLayer> layers;  ///< parents before children
  std::vector<ArchivedContainer> containers;
  /// Where layers were pulled from and pushed to: the engine's own records, by their path in `distribution/`.
  std::map<std::string, std::string> distribution;
};

std::string head_text(const ArchiveHead&);
/// Throws Error for what is of another version, or does not hold together: IDs that are none, parents that do
/// not come first, chain IDs that do not follow, names that are there twice.
ArchiveHead parse_head(const std::string& text);

}  // namespace drover
