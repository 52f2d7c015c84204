#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"
#include "migrate/plan.hpp"

namespace drover {

/// Layers that are renamed from the old home into the new one instead of copied. In the migration's folder:
///
///     renames/images/<id>         a renamed image layer, and its marks to be spelled anew (mark_list.hpp)
///     renames/others/<id>         the same of one that an engine may write to
///     renames/back/<id>           of the latter, once an engine may have: the marks as a rollback found them
///     kept/bookkeeping/<id>/<n>   aufs's own files and folders, which mean nothing to another driver
///
/// Which of them are renamed is told by where their directories are. Which marks are spelled anew is told by
/// the marks. So forward() and back() go on from wherever they were cut.
class LayerRenames {
 public:
  /// `folder` is the migration's, and must outlive this.
  explicit LayerRenames(const Dir& folder) : folder_(folder) {}

  // While staging. Calls for different layers may come from several threads at once.

  /// Writes down that a layer will be renamed, with its marks, and frees its new place of the empty directory
  /// that the driver has made there: so a layer that is not there is not taken for one that is. Throws Error
  /// if a mark cannot be spelled in the new way.
  void stage(const PlannedLayer&, const Driver& source, const Driver& target) const;
  bool is_staged(const LayerId&) const;
  /// Its new place is made, and free.
  bool is_awaited(const LayerId&, const Driver& target) const;
  std::size_t count() const;
  void drop(const LayerId&) const;

  // While no engine starts.

  /// Whether any layer has left the old home for the new one.
  bool begun(const Driver& source, const Driver& target) const;
  /// Renames all that are staged, spells their marks anew, and reads them back. All is durable then.
  void forward(const Driver& source, const Driver& target) const;
  /// Undoes that, wherever it is; what is in neither home stays away. Layers that an engine has written to
  /// are spelled by what look_back() found, all else by what was staged.
  void back(const Driver& source, const Driver& target) const;

  /// Throws Error where back() could not end: a layer is in both homes, a list is damaged, a directory is
  /// immutable. Changes nothing.
  void require_way_back(const Driver& source, const Driver& target) const;

  // Before a rollback, where an engine may have run on the new home; nothing that an engine looks at is
  // changed.

  /// Reads the marks of the layers that an engine may have written to. Throws Error where one could not be
  /// spelled in the old way. Does nothing where back() has begun: marks may be of either spelling then.
  void look_back(const Driver& source, const Driver& target) const;
  /// look_back() was called: an engine may have run on the new home.
  bool looked_back() const;
  /// The renamed layers that are neither in the old home nor in the new one: removed with the engine, or
  /// lost.
  std::set<LayerId> gone(const Driver& source, const Driver& target) const;
  /// Those that are in the new home and have no place in the old one any more.
  std::set<LayerId> without_place(const Driver& source, const Driver& target) const;

 private:
  struct Renamed {
    LayerId id;
    bool image;
  };
  std::vector<Renamed> all() const;
  std::optional<Dir> lists(const char* name) const;
  void spell_back(const Renamed&, const Dir& layer, Marks from, Marks to) const;
  const Dir& folder_;
};

}  // namespace drover
