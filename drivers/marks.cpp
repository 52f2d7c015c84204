#include "drivers/marks.hpp"

#include <dirent.h>
#include <sys/sysmacros.h>

namespace drover {

namespace {

constexpr std::string_view kPrefix = ".wh.";
constexpr std::string_view kReserved = ".wh..wh.";
constexpr std::string_view kOpaqueFile = ".wh..wh..opq";
constexpr std::string_view kFuseOpaqueDevice = ".wh..opq";
constexpr const char* kOpaqueXattr = "trusted.overlay.opaque";
constexpr const char* kWhiteoutXattr = "trusted.overlay.whiteout";
constexpr std::string_view kOverlayXattrs = "trusted.overlay.", kEscapedXattrs = "trusted.overlay.overlay.";
// fuse-overlayfs looks for ".wh." + name beside each name, and a name has at most 255 bytes.
constexpr std::size_t kLongestHideableName = 251;
// AUFS_MAX_NAMELEN: room for two prefixes and the suffix of a temporary name.
constexpr std::size_t kLongestAufsName = 242;

bool named(Marks marks) { return marks == Marks::fuse_overlayfs || marks == Marks::aufs; }
bool kernel_style(Marks marks) { return marks == Marks::overlay || marks == Marks::fuse_overlayfs; }

bool is_null_device(const Dir& dir, const DirEntry& entry) {
  if (entry.type != DT_CHR && entry.type != DT_UNKNOWN) return false;
  struct stat st = dir.stat(entry.name);
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

/// For aufs a mark is a regular file; other entries of such names are left of operations that were cut short.
bool is_mark_file(Marks marks, const Dir& dir, const DirEntry& entry) {
  if (marks != Marks::aufs || entry.type == DT_REG) return true;
  return entry.type == DT_UNKNOWN && S_ISREG(dir.stat(entry.name).st_mode);
}

bool has_mark_file(Marks marks, const Dir& dir, const std::string& name) {
  auto st = dir.try_stat(name);
  return st && (marks != Marks::aufs || S_ISREG(st->st_mode));
}

bool is_bookkeeping(Marks marks, std::string_view attribute) {
  if (kernel_style(marks) && attribute.starts_with(kOverlayXattrs)) return true;
  return marks == Marks::fuse_overlayfs &&
         (attribute.starts_with("user.overlay.") || attribute.starts_with("user.fuseoverlayfs."));
}

/// As the kernel makes them (WH_MASK).
void make_mark_file(const Dir& dir, const std::string& name) {
  if (!dir.exists(name)) dir.write_new(name, "", 0444);
}

}  // namespace

Opacity opacity(Marks marks, const Dir& dir) {
  // One question, since most directories have no attribute at all.
  for (const auto& [attribute, value] : kernel_style(marks) ? dir.xattrs("") : std::vector<Xattr>()) {
    bool kernels = attribute == kOpaqueXattr;
    bool user = marks == Marks::fuse_overlayfs &&
                (attribute == "user.overlay.opaque" || attribute == "user.fuseoverlayfs.opaque");
    if ((kernels || user) && value == "y") return Opacity::opaque;
    if (kernels && value == "x") return Opacity::xattr_whiteouts;
  }
  if (named(marks) && has_mark_file(marks, dir, std::string(kOpaqueFile))) return Opacity::opaque;
  return Opacity::transparent;
}

DecodedEntry decode(Marks marks, const Dir& dir, const DirEntry& entry, Opacity inside) {
  if (named(marks) && entry.name.starts_with(kPrefix)) {
    std::string hides = entry.name.substr(kPrefix.size());
    bool no_name = hides.empty() || hides == "." || hides == "..";
    if (entry.name.starts_with(kReserved) || no_name || !is_mark_file(marks, dir, entry))
      return {EntryRole::bookkeeping, {}};
    // fuse-overlayfs leaves this device in a directory that it has marked as opaque (seen with 1.10).
    if (marks == Marks::fuse_overlayfs && entry.name == kFuseOpaqueDevice && is_null_device(dir, entry))
      return {EntryRole::bookkeeping, {}};
    return {EntryRole::whiteout, std::move(hides)};
  }
  if (kernel_style(marks)) {
    if (is_null_device(dir, entry)) return {EntryRole::whiteout, entry.name};
    if (inside == Opacity::xattr_whiteouts && (entry.type == DT_REG || entry.type == DT_UNKNOWN) &&
        dir.stat(entry.name).st_size == 0 && dir.xattr(entry.name, kWhiteoutXattr))
      return {EntryRole::whiteout, entry.name};
  }
  return {};
}

bool has_named_whiteout(Marks marks, const Dir& dir, std::string_view name) {
  return named(marks) && name.size() <= kLongestHideableName &&
         has_mark_file(marks, dir, std::string(kPrefix).append(name));
}

bool opaque_root_hides(Marks marks) { return marks == Marks::fuse_overlayfs; }

std::vector<std::string> present_and_hidden(Marks marks, const Dir& dir) {
  std::vector<std::string> both;
  if (!named(marks)) return both;
  for (const DirEntry& entry : dir.list())
    if (decode(marks, dir, entry, Opacity::transparent).role == EntryRole::content &&
        has_named_whiteout(marks, dir, entry.name))
      both.push_back(entry.name);
  return both;
}

void hide(Marks marks, const Dir& dir, std::string_view name) {
  if (marks == Marks::aufs)
    make_mark_file(dir, std::string(kPrefix).append(name));
  else
    dir.make_node(name, S_IFCHR, makedev(0, 0));
}

void make_opaque(Marks marks, const Dir& dir) {
  if (marks == Marks::aufs)
    make_mark_file(dir, std::string(kOpaqueFile));
  else
    dir.set_xattr("", kOpaqueXattr, "y");
}

bool can_hold_name(Marks marks, std::string_view name) {
  if (!named(marks)) return true;
  std::size_t longest = marks == Marks::aufs ? kLongestAufsName : kLongestHideableName;
  return !name.starts_with(kPrefix) && name.size() <= longest;
}

bool can_hold_null_device(Marks marks) { return !kernel_style(marks); }

std::optional<std::string> shown_xattr(Marks marks, std::string_view stored) {
  if (marks == Marks::overlay && stored.starts_with(kEscapedXattrs))
    return std::string(kOverlayXattrs).append(stored.substr(kEscapedXattrs.size()));
  if (is_bookkeeping(marks, stored)) return std::nullopt;
  return std::string(stored);
}

std::optional<std::string> stored_xattr(Marks marks, std::string_view shown) {
  if (marks == Marks::overlay && shown.starts_with(kOverlayXattrs))
    return std::string(kEscapedXattrs).append(shown.substr(kOverlayXattrs.size()));
  if (is_bookkeeping(marks, shown)) return std::nullopt;
  return std::string(shown);
}

}  // namespace drover
