#pragma once
#include <string>
#include <vector>

#include "drivers/tree_filler.hpp"
#include "migrate/changes.hpp"

namespace drover {

/// What both writers do alike: they keep the directory that is being written, place entries, and set a
/// directory's attributes once all that is inside is there.
class LayerWriter : public ChangeSink {
 public:
  void enter(const Node&, bool hides_past) final;
  void leave() final;
  void put(const Node&) final;
  void remove(std::string_view name) final;
  /// After the last of what is told: waits until it is all there. Until then some may be missing in count().
  void finish() { filler_.finish(); }
  const TransferCount& count() { return placer_.count(); }

 protected:
  /// `root`: the new layer, which must outlive this. `may_link`: source and target layer are immutable.
  /// `look` as for LinkMemory, of all that entries may come from.
  LayerWriter(const Dir& root, Marks from, Marks to, bool may_link, LinkMemory::Look look)
      : root_(root), placer_(root, from, to, may_link, std::move(look)), filler_(placer_) {}

  /// The layer's root is entered; `hides_past` as for enter().
  virtual void enter_root(const Dir& root, bool hides_past) = 0;
  /// Opens or makes the directory. `fresh` tells whether it has no attributes yet.
  virtual Dir open_directory(const Dir& in, std::string_view name, bool hides_past, bool& fresh) = 0;
  /// Clears the way for an entry of this name; called when something is there.
  virtual void clear_way(const Dir& in, std::string_view name) = 0;
  virtual void hide_name(const Dir& in, std::string_view name) = 0;
  /// Whether a directory that was there before may carry attributes that the layer does not have.
  virtual bool starts_with_attributes() const = 0;

 private:
  struct Level {
    TrailDir dir;
    EntryPlacer::Folder folder;
    TreeFiller::FolderRef filled;
    struct stat st;
    std::vector<Xattr> xattrs;
    bool fresh;
    bool past_hidden;  ///< nothing of what the parent has here shows
    void let_go(const Level&) { dir.let_go(); }
    void reach_from(const Level& below) { dir.reach_from(below.dir); }
  };
  const Dir& root_;
  EntryPlacer placer_;
  TreeFiller filler_;
  Trail<Level> levels_;
};

/// Writes a delta: entries as they come, marks for what is gone.
class DeltaWriter : public LayerWriter {
 public:
  DeltaWriter(const Dir& root, Marks from, Marks to, bool may_link, LinkMemory::Look look = {})
      : LayerWriter(root, from, to, may_link, std::move(look)), to_(to) {}

 private:
  void enter_root(const Dir&, bool hides_past) override;
  Dir open_directory(const Dir&, std::string_view, bool hides_past, bool& fresh) override;
  void clear_way(const Dir&, std::string_view) override;
  void hide_name(const Dir&, std::string_view) override;
  bool starts_with_attributes() const override { return false; }
  Marks to_;
};

/// Applies changes to a tree that starts as the parent's. Files are replaced, never written to: they may be
/// shared.
class TreeWriter : public LayerWriter {
 public:
  /// `to`: marks that the target's other layers carry, for what they cannot tell from marks.
  TreeWriter(const Dir& root, Marks from, bool may_link, Marks to = Marks::none, LinkMemory::Look look = {})
      : LayerWriter(root, from, to, may_link, std::move(look)) {}

 private:
  void enter_root(const Dir&, bool hides_past) override;
  Dir open_directory(const Dir&, std::string_view, bool hides_past, bool& fresh) override;
  void clear_way(const Dir&, std::string_view) override;
  void hide_name(const Dir&, std::string_view) override;
  bool starts_with_attributes() const override { return true; }
};

}  // namespace drover
