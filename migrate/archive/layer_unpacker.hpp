#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/entry_placer.hpp"
#include "drivers/sys/trail.hpp"
#include "drivers/view.hpp"
#include "migrate/archive/room_guard.hpp"
#include "migrate/archive/tar_reader.hpp"

namespace drover {

/// Makes a layer's own files, with overlay's marks, of its tar. The tar is untrusted: everything is reached
/// below the layer's root, and what the marks cannot spell is an Error.
class LayerUnpacker {
 public:
  /// `root`: where the files go; `parent`: what the layers below show, null for none. Both must outlive this.
  LayerUnpacker(const Dir& root, const View* parent);

  /// An image layer's tar, its marks spelled as the image specification has it.
  void apply_layer(TarReader&);
  /// A tar of changes (docs/archive-format.md), to what is there already.
  void apply_changes(TarReader&);
  /// To be called once, at the end: gives directories the attributes that they are to have.
  void finish();
  /// Bytes of all regular files' content.
  std::uint64_t content_bytes() const { return content_bytes_; }

 private:
  struct Attributes {
    struct stat st;
    std::vector<Xattr> xattrs;
  };
  using Directories = std::map<std::string, Attributes>;
  static std::size_t bytes_of(const std::string& path, const Attributes&);
  /// A directory on the way to where the last entry went.
  struct Level {
    TrailDir dir;
    std::size_t path = 0;                         ///< how much of way_path_ is its own
    std::optional<ViewDir> below = std::nullopt;  ///< what the layers below show there, if that was asked for
    bool knows_below = false;

    void forget_below() {
      below.reset();
      knows_below = false;
    }
    void let_go(const Level& next) {
      dir.let_go();
      if (below && next.below)
        below->let_go(*next.below);
      else
        forget_below();
    }
    void reach_from(const Level& next) {
      dir.reach_from(next.dir);
      if (below && next.below)
        below->reach_from(*next.below);
      else
        forget_below();
    }
  };
  static bool is_whiteout(const struct stat&);
  const Dir& folder(const std::string& path);
  std::string go_to(const std::string& path, bool make);
  bool hides_below(std::string_view path) const;
  std::size_t go_back_towards(const std::string& path);
  void go_on(Dir dir, std::string_view name, Level level);
  std::optional<ViewDir> below_at(std::string_view path) const;
  void make_folder(const std::string& name);
  const Dir* existing_folder(const std::string& path);
  void put(const TarMember&, const std::string& path, TarReader&);
  void put_directory(const TarMember&, const std::string& path);
  void put_link(const TarMember&, const std::string& path);
  void put_file(const TarMember&, const Dir& in, const std::string& name, TarReader&);
  void keep_content(const TarMember&, const std::string& path);
  void hide_path(const std::string& path, bool even_content);
  void forget(const std::string& path);
  void clear_way(const Dir& in, const std::string& name, const std::string& path);
  std::optional<std::pair<ViewDir, ViewEntry>> in_parent(const std::string& path) const;
  std::vector<Xattr> xattrs_of(const TarMember&, const std::string& path) const;

  const Dir& root_;
  const View* parent_;
  EntryPlacer copies_;  ///< of what the layers below have
  void note_directory(const std::string& path, Attributes attributes);
  Directories directories_;
  std::size_t noted_bytes_ = 0;  ///< that it takes
  // The next entry's folder mostly is near: a walk from the root for each would take as much time as the
  // square of the depth.
  ViewTrail<Level> way_;
  std::string way_path_;                 ///< of its last directory, without symlinks
  std::string folder_path_, real_path_;  ///< as it was asked for; without symlinks
  std::optional<Dir> folder_;            ///< the last one that was asked for
  bool opaque_root_ = false;
  RoomGuard room_;
  std::uint64_t content_bytes_ = 0;
};

}  // namespace drover
