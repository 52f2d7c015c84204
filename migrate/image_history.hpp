#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "migrate/store.hpp"

namespace drover {

/// One line of what `docker history` shows: bytes that the image's builder wrote, at any length.
struct HistoryLine {
  std::string created;     ///< RFC 3339, as written
  std::string created_by;  ///< the command
  std::string comment;
  bool empty_layer = false;  ///< it made no layer
};

/// The `history` of an image's configuration, oldest first; empty where there is none, or something else
/// stands in its place. An item that is no object is a line without text. Throws Error if `config` is no
/// JSON.
std::vector<HistoryLine> parse_history(const std::string& config);

/// The same of an image in the store; empty, too, if its configuration cannot be read.
std::vector<HistoryLine> read_history(const Dir& data_root, DriverKind, const Digest& image);

/// Which line made which layer.
struct MatchedHistory {
  std::vector<std::optional<HistoryLine>> lines;  ///< one for each layer, base first
  std::string remark;  ///< where the history does not tell of all layers, or of more; empty: it fits
};

/// As the engine does: the lines that made a layer belong to the layers in their order, from the base up
/// (moby daemon/images/image_history.go; where lines are left over it shows no history at all).
MatchedHistory match_history(const std::vector<HistoryLine>&, std::size_t layers);

}  // namespace drover
