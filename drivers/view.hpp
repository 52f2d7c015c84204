#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/marks.hpp"
#include "drivers/repeated_inodes.hpp"
#include "drivers/sys/trail.hpp"

namespace drover {

/// One name in a directory of a view, and the layer of the stack (0 = top) it comes from.
struct ViewEntry {
  std::string name;
  unsigned layer;
};

/// One directory of a view: the directories of that path in each layer of the stack that still show, top
/// first.
class ViewDir {
 public:
  /// Its own attributes are those of the top part.
  const Dir& top() const { return *parts_.front().dir; }
  unsigned top_layer() const { return parts_.front().layer; }
  /// Everything that shows here, sorted by name (bytes). `hidden` is given what the marks of a view of one
  /// layer hide, in no order.
  std::vector<ViewEntry> entries(std::vector<std::string>* hidden = nullptr) const;
  /// Whether nothing of what is below the top part shows.
  bool is_opaque() const { return parts_.front().opacity == Opacity::opaque; }
  /// One name, if it shows.
  std::optional<ViewEntry> find(std::string_view name) const;
  /// The directory on disk that holds this entry.
  const Dir& holder(const ViewEntry&) const;
  /// The directory of this name; the entry must be one.
  ViewDir sub(const ViewEntry&) const;
  ViewDir clone() const { return *this; }  ///< the handles are shared

  /// For a Trail; `below` is a directory in this one. What it has no part of stays open: that happens once
  /// for each layer on the way down.
  void let_go(const ViewDir& below);
  void reach_from(const ViewDir& below);

 private:
  friend class View;
  struct Part {
    unsigned layer;
    TrailDir dir;
    Opacity opacity;
  };
  const Part* part_of(unsigned layer) const;
  explicit ViewDir(Marks marks) : marks_(marks) {}
  bool add(unsigned layer, Dir dir);  // false: nothing below shows
  Marks marks_;
  std::vector<Part> parts_;
};

/// Levels of a walk through views: each may have a handle for each layer of the stack.
template <class Level>
using ViewTrail = Trail<Level, 2>;

/// What a stack of layers shows when it is mounted, worked out from the layers' own files: no mount is made,
/// and any driver's marks are read on any kernel. A tree is a stack of one layer without marks.
class View {
 public:
  /// The view of a layer as its driver keeps it.
  View(const Driver&, const LayerId&);
  /// `layers` top first.
  View(std::vector<OpenLayer> layers, Marks marks) : layers_(std::move(layers)), marks_(marks) {}

  ViewDir root() const;
  /// Opens the regular file that `path` names to a process with this view as its root: symlinks are followed,
  /// inside. Nothing where there is none.
  std::optional<Fd> open(const std::string& path) const;
  /// Of the names in all layers, whether they show or not.
  std::optional<RepeatedInodes> repeated_inodes() const;

 private:
  std::vector<OpenLayer> layers_;
  Marks marks_;
};

}  // namespace drover
