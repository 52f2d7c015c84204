#pragma once
#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/marks.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/view.hpp"

namespace drover {

/// One entry as a reader presents it to a writer. The handle is valid during the call only.
struct Node {
  const Dir& at;  ///< the directory in the source that holds it; the directory itself where `name` is empty
  std::string_view name;  ///< empty for the layer's root
  const struct stat& st;
};

/// What passes between the reader of a layer and the writer of a layer: the layer as changes to its parent,
/// depth first. The first call is enter() for the layer's root, the last one the leave() that belongs to it.
/// All of it may come a second time, in part: a directory or an entry that was told already is the same one
/// again.
class ChangeSink {
 public:
  virtual ~ChangeSink() = default;
  /// A directory with these attributes; what follows up to leave() is inside. `hides_past`: nothing of what
  /// the parent has under this name shows.
  virtual void enter(const Node& directory, bool hides_past) = 0;
  virtual void leave() = 0;
  /// Any other entry; it takes the place of whatever the parent has under this name.
  virtual void put(const Node& entry) = 0;
  /// The parent's entry of this name is gone.
  virtual void remove(std::string_view name) = 0;
};

/// Reads a delta: its own entries and marks, one directory after another.
void read_delta(const Dir& layer, Marks marks, ChangeSink&);

/// How what a layer shows is compared with what another one shows.
struct ViewComparison {
  /// How the store that both are of spells marks.
  Marks marks = Marks::none;
  /// Compare content where all attributes agree: needed where no record says what changed, since tools forge
  /// times.
  bool content = false;
  /// Whether the layer's record names this path (relative to the root): such an entry belongs to the layer
  /// though no comparison may see it. None: no record.
  std::function<bool(const std::string& path)> recorded;
};

/// Reads what a layer shows as the changes to what `past` shows; everything if there is no past. The changes
/// keep the view's hard links: where one name of a file is new, all its names are put.
void read_views(const View& layer, const View* past, const ViewComparison&, ChangeSink&);

}  // namespace drover
