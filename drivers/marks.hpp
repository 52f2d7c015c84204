#pragma once
#include <string>
#include <string_view>

#include "drivers/sys/dir.hpp"

namespace drover {

/// The spellings of "this name is gone" (whiteout) and "nothing from below shows in this directory" (opaque).
enum class Marks {
  none,  ///< a tree: nothing is hidden
  /// Kernel overlayfs: character device 0:0; xattr trusted.overlay.opaque = "y", or "x": whiteouts inside may
  /// be empty files with trusted.overlay.whiteout (kernel 6.7, Documentation/filesystems/overlayfs.rst).
  overlay,
  /// fuse-overlayfs: reads overlay's marks, aufs's marks, and its own xattr user.fuseoverlayfs.opaque.
  fuse_overlayfs,
  /// aufs: empty file .wh.NAME; file .wh..wh..opq in the directory; its own book-keeping .wh..wh.* at the
  /// root.
  aufs,
};

/// What one entry of a delta's directory is.
enum class EntryRole { content, whiteout, bookkeeping };
struct DecodedEntry {
  EntryRole role = EntryRole::content;
  std::string hides;  ///< for a whiteout: the name that is gone
};

/// What a directory of a delta says about the directories below it.
enum class Opacity { transparent, opaque, xattr_whiteouts };
Opacity opacity(Marks, const Dir&);

/// Reads one entry; `inside` is what opacity() said of its directory.
DecodedEntry decode(Marks, const Dir&, const DirEntry&, Opacity inside);

/// Whether this directory holds a whiteout for `name` under a name of its own (".wh.NAME").
bool has_named_whiteout(Marks, const Dir&, std::string_view name);

/// Writes them: a whiteout for `name`; the directory itself opaque.
void hide(Marks, const Dir&, std::string_view name);
void make_opaque(Marks, const Dir&);

/// Whether content of this name, or a character device 0:0, can be told from a mark.
bool can_hold_name(Marks, std::string_view name);
bool can_hold_null_device(Marks);

/// Attributes that are a driver's own book-keeping, not content.
bool is_bookkeeping_xattr(Marks, std::string_view attribute);

}  // namespace drover
