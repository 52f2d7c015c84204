#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
  /// aufs: regular file .wh.NAME; .wh..wh..opq in the directory; its own book-keeping .wh..wh.*. It refuses
  /// to look up names that begin so, or have more than 242 bytes (fs/aufs/dentry.c, aufs_type.h).
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

/// Whether that holds for a layer's root too. fuse-overlayfs reads it so; the kernel's overlayfs
/// (ovl_get_root) and aufs (which looks for the mark where a name is looked up, and a root has none) merge
/// all roots.
bool opaque_root_hides(Marks);

/// Reads one entry; `inside` is what opacity() said of its directory.
DecodedEntry decode(Marks, const Dir&, const DirEntry&, Opacity inside);

/// Whether this directory holds a whiteout for `name` under a name of its own (".wh.NAME").
bool has_named_whiteout(Marks, const Dir&, std::string_view name);

/// Writes them: a whiteout for `name`, which must not be there; the directory itself opaque. Again is no
/// error for the latter, and for a whiteout under a name of its own.
void hide(Marks, const Dir&, std::string_view name);
void make_opaque(Marks, const Dir&);

/// Names in this directory that are both present and marked as gone (".wh.NAME" beside NAME), which only a
/// layer's tar can bring about. Such a name counts as present, as the image specification has it, though aufs
/// and fuse-overlayfs hide it.
std::vector<std::string> present_and_hidden(Marks, const Dir&);

/// Whether content of this name, or a character device 0:0, can be told from a mark.
bool can_hold_name(Marks, std::string_view name);
bool can_hold_null_device(Marks);

/// Under which name a layer's attribute is content; nothing for a driver's own book-keeping. Overlay stores
/// content whose name is like its own with one more "overlay.": trusted.overlay.overlay.opaque shows as
/// trusted.overlay.opaque (kernel 6.7, Documentation/filesystems/overlayfs.rst, "Nesting overlayfs mounts").
std::optional<std::string> shown_xattr(Marks, std::string_view stored);
/// How content of this name is stored; nothing if it would be taken for book-keeping.
std::optional<std::string> stored_xattr(Marks, std::string_view shown);

}  // namespace drover
