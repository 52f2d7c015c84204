#include "migrate/mark_scan.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "drivers/respell.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

constexpr std::string_view kOpaqueMarkFile = ".wh..wh..opq";

/// Of the driver that reads such marks, for people.
std::string reader_of(Marks marks) {
  switch (marks) {
    case Marks::overlay:
      return "overlay";
    case Marks::fuse_overlayfs:
      return "fuse-overlayfs";
    case Marks::aufs:
      return "aufs";
    case Marks::none:
      break;
  }
  return "that driver";
}

bool shows_elsewhere(std::string_view attribute) {
  return attribute == "trusted.overlay.redirect" || attribute == "trusted.overlay.metacopy";
}

}  // namespace

bool is_guarded(const Dir& dir, const std::string& name) {
  struct statx st;
  int flags = AT_SYMLINK_NOFOLLOW | (name.empty() ? AT_EMPTY_PATH : 0);
  if (::statx(dir.fd(), name.c_str(), flags, STATX_TYPE, &st) != 0)
    throw_errno("cannot stat `" + dir.path_of(name) + "`");
  return st.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND);
}

void MarkScan::object(const Dir& dir, std::string_view name, const std::string& why,
                      std::string_view way_out) {
  if (!obstacle_.empty()) return;
  obstacle_ = "`" + (name.empty() ? dir.path() : dir.path_of(name)) + "` " + why;
  way_out_ = way_out;
}

void MarkScan::look_at_attributes(const Dir& dir, std::string_view name, bool directory) {
  for (const auto& [attribute, value] : dir.xattrs(name)) {
    auto before = shown_xattr(from_, attribute), after = shown_xattr(to_, attribute);
    std::string has = "has the attribute " + attribute + ", which ";
    if (!before && directory && is_opaque_xattr(attribute) && value == "y") continue;
    if (!before && shows_elsewhere(attribute))
      object(dir, name,
             "has the attribute " + attribute +
                 " (of overlay's redirect_dir or metacopy), by which a part of it is elsewhere",
             "save the container outside of the data root (docker commit, then docker save -o FILE: an image "
             "that stays inside does not come back) and remove it");
    else if (before && !after)
      object(dir, name, has + reader_of(to_) + " would take for its own");
    else if (!before && after && !going_back_)
      object(dir, name, has + reader_of(from_) + " hides and " + reader_of(to_) + " shows");
    else if (before && after && *before != *after)
      object(dir, name,
             has + reader_of(from_) + " shows as " + *before + " and " + reader_of(to_) + " as " + *after);
  }
}

void MarkScan::look_at_content(const Dir& dir, const DirEntry& entry) {
  if (!can_hold_name(to_, entry.name))
    object(dir, entry.name, "is of a name that " + reader_of(to_) + " cannot hold");
  else if (has_named_whiteout(from_, dir, entry.name))
    object(dir, entry.name, "is there both as present and as deleted");
  else if (!can_hold_null_device(to_) && (entry.type == DT_CHR || entry.type == DT_UNKNOWN)) {
    struct stat st = dir.stat(entry.name);
    if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
      object(dir, entry.name, "is a device 0:0, which " + reader_of(to_) + " would take for a mark");
  }
}

void MarkScan::change(const Dir& dir, MarkRecord::Kind kind, const std::string& name,
                      const std::string& entry, std::vector<Change>& changes) {
  if (is_guarded(dir, "") || (!entry.empty() && is_guarded(dir, entry)))
    object(dir, entry, "is immutable or append-only (chattr +i, +a), and holds a mark or is one");
  changes.emplace_back(kind, name);
}

void MarkScan::look_at_entry(const Dir& dir, const DirEntry& entry, Opacity inside,
                             std::vector<Change>& changes) {
  using Kind = MarkRecord::Kind;
  DecodedEntry is = decode(from_, dir, entry, inside);
  switch (is.role) {
    case EntryRole::content:
      return look_at_content(dir, entry);
    case EntryRole::whiteout:
      if (!can_hold_name(to_, is.hides))
        object(dir, entry.name, "marks a name as gone of which " + reader_of(to_) + " cannot say so");
      else if (!spells_whiteout(to_, dir, is.hides))
        change(dir, Kind::whiteout, is.hides, entry.name, changes);
      return;
    case EntryRole::bookkeeping:
      break;
  }
  has_bookkeeping_ = true;
  if (entry.name == kOpaqueMarkFile && inside == Opacity::opaque) return;
  if (from_ == Marks::aufs && levels_.size() == 1)
    change(dir, Kind::keep, entry.name, entry.name, changes);
  else if (is_fuse_leftover(dir, entry.name))
    change(dir, Kind::drop, entry.name, entry.name, changes);
  else if (!going_back_)
    object(dir, entry.name, "is book-keeping of " + reader_of(from_) + "'s that drover does not know");
}

void MarkScan::enter(std::string_view name, const Dir& dir, const std::vector<DirEntry>& entries) {
  bool is_root = levels_.empty();
  levels_.emplace_back(name);
  if (is_root) look_at_attributes(dir, "", true);
  if (is_root && is_guarded(dir, "")) object(dir, "", "is immutable or append-only (chattr +i, +a)");
  std::vector<Change> changes;
  Opacity inside = opacity(from_, dir);
  if (inside == Opacity::xattr_whiteouts) object(dir, "", "has whiteouts that are files with an attribute");
  if (inside == Opacity::opaque) {
    if (is_root && opaque_root_hides(from_) != opaque_root_hides(to_))
      object(dir, "",
             "is opaque, which of a layer's root " + reader_of(from_) + " and " + reader_of(to_) +
                 " read differently");
    if (!spells_opaque(from_, to_, dir)) change(dir, MarkRecord::Kind::opaque, "", "", changes);
  }
  for (const DirEntry& entry : entries) look_at_entry(dir, entry, inside, changes);
  has_changes_ = has_changes_ || !changes.empty();
  if (list_ && (!changes.empty() || (is_root && going_back_))) list(dir, changes);
}

void MarkScan::list(const Dir& dir, const std::vector<Change>& changes) {
  for (; listed_ < levels_.size(); ++listed_) list_->add(MarkRecord::Kind::enter, levels_[listed_]);
  list_->add_times(dir.stat());
  for (const auto& [kind, name] : changes) list_->add(kind, name);
}

void MarkScan::entry(const Dir& dir, const std::string& name, const struct statx& st) {
  look_at_attributes(dir, name, S_ISDIR(st.stx_mode));
}

void MarkScan::leave() {
  if (list_ && levels_.size() > 1 && listed_ == levels_.size()) {
    list_->add(MarkRecord::Kind::leave);
    --listed_;
  }
  levels_.pop_back();
}

}  // namespace drover
