#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "drivers/sys/dir.hpp"

namespace drover {

/// The spellings of "this name is gone" (whiteout) and "nothing from below shows in this directory" (opaque).
enum class Marks {
  none,  ///< a tree: nothing is hidden
  /// Kernel overlayfs: character device 0:0; xattr trusted.overlay.opaque (user.overlay.opaque under userxattr)
  /// = "y", or "x": whiteouts inside may be empty files with trusted.overlay.whiteout (kernel 6.7).
  overlay,
  /// fuse-overlayfs: reads overlay's marks, aufs's marks and its own xattr user.fuseoverlayfs.opaque.
  fuse_overlayfs,
  /// aufs: empty file .wh.NAME; file .wh..wh..opq in the directory; its own book-keeping .wh..wh.* at the root.
  aufs,
};

/// What one entry of a delta directory is.
enum class EntryRole { content, whiteout, bookkeeping };
struct DecodedEntry {
  EntryRole role;
  std::string hides;  ///< for a whiteout: the name that is gone
};

/// Reads one directory of a delta. `opaque` is what opacity() said of it.
enum class Opacity { transparent, opaque, xattr_whiteouts };
Opacity opacity(Marks, const Dir&);
DecodedEntry decode(Marks, const Dir&, const DirEntry&, Opacity);

/// Writes them. `hide` makes a whiteout for `name`; `make_opaque` marks the directory itself.
void hide(Marks, const Dir&, std::string_view name);
void make_opaque(Marks, const Dir&);

/// Whether this driver's marks allow a file of this name / a character device 0:0 as content.
bool can_hold_name(Marks, std::string_view name);
bool can_hold_null_device(Marks);

/// Attributes that belong to an overlay's own book-keeping and must not reach another store.
bool is_bookkeeping_xattr(std::string_view attribute);

}  // namespace drover
