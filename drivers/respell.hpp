#pragma once
#include <string_view>

#include "drivers/marks.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// Marks that are there already, in another driver's spelling. Each function looks at the disk for what is
/// done, so that the same call goes on where it was cut: the new mark is made before the old one goes.

/// Whether `name` is marked as gone as hide() does it, and in no other way.
bool spells_whiteout(Marks, const Dir&, std::string_view name);
/// Whether the directory is marked as make_opaque() does it for `to`, and in no other way that `from` reads
/// and `to` would show.
bool spells_opaque(Marks from, Marks to, const Dir&);

/// Spells the whiteout for `name` so. Throws Error if there is none, or something of that name is in its
/// place.
void respell_whiteout(Marks to, const Dir&, std::string_view name);
/// Spells so that the directory is opaque, whether it was said before or not.
void respell_opaque(Marks from, Marks to, const Dir&);

/// The attributes that say of a directory that it is opaque, whichever driver reads them.
bool is_opaque_xattr(std::string_view attribute);
/// A device that fuse-overlayfs leaves in directories that it has made opaque, and that means nothing.
bool is_fuse_leftover(const Dir&, std::string_view name);
void remove_fuse_leftover(const Dir&, std::string_view name);

}  // namespace drover
