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
// fuse-overlayfs looks for ".wh." + name beside each name, and a name has at most 255 bytes.
constexpr std::size_t kLongestHideableName = 251;

bool named(Marks marks) { return marks == Marks::fuse_overlayfs || marks == Marks::aufs; }
bool kernel_style(Marks marks) { return marks == Marks::overlay || marks == Marks::fuse_overlayfs; }

bool is_null_device(const Dir& dir, const DirEntry& entry) {
  if (entry.type != DT_CHR && entry.type != DT_UNKNOWN) return false;
  struct stat st = dir.stat(entry.name);
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

}  // namespace

Opacity opacity(Marks marks, const Dir& dir) {
  if (kernel_style(marks)) {
    if (auto value = dir.xattr("", kOpaqueXattr)) {
      if (*value == "y") return Opacity::opaque;
      if (*value == "x") return Opacity::xattr_whiteouts;
    }
  }
  if (marks == Marks::fuse_overlayfs)
    for (const char* attribute : {"user.overlay.opaque", "user.fuseoverlayfs.opaque"})
      if (auto value = dir.xattr("", attribute); value && *value == "y") return Opacity::opaque;
  if (named(marks) && dir.exists(kOpaqueFile)) return Opacity::opaque;
  return Opacity::transparent;
}

DecodedEntry decode(Marks marks, const Dir& dir, const DirEntry& entry, Opacity inside) {
  if (named(marks) && entry.name.starts_with(kPrefix)) {
    if (entry.name.starts_with(kReserved)) return {EntryRole::bookkeeping, {}};
    // fuse-overlayfs leaves this device in a directory that it has marked as opaque (seen with 1.10).
    if (marks == Marks::fuse_overlayfs && entry.name == kFuseOpaqueDevice && is_null_device(dir, entry))
      return {EntryRole::bookkeeping, {}};
    return {EntryRole::whiteout, entry.name.substr(kPrefix.size())};
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
  return named(marks) && name.size() <= kLongestHideableName && dir.exists(std::string(kPrefix).append(name));
}

void hide(Marks marks, const Dir& dir, std::string_view name) {
  if (marks == Marks::aufs)
    dir.write_new(std::string(kPrefix).append(name), "", 0444);
  else
    dir.make_node(name, S_IFCHR, makedev(0, 0));
}

void make_opaque(Marks marks, const Dir& dir) {
  if (marks == Marks::aufs)
    dir.write_new(kOpaqueFile, "", 0444);
  else
    dir.set_xattr("", kOpaqueXattr, "y");
}

bool can_hold_name(Marks marks, std::string_view name) {
  return !named(marks) || (!name.starts_with(kPrefix) && name.size() <= kLongestHideableName);
}

bool can_hold_null_device(Marks marks) { return !kernel_style(marks); }

bool is_bookkeeping_xattr(Marks marks, std::string_view attribute) {
  if (kernel_style(marks) && attribute.starts_with("trusted.overlay.")) return true;
  return marks == Marks::fuse_overlayfs &&
         (attribute.starts_with("user.overlay.") || attribute.starts_with("user.fuseoverlayfs."));
}

}  // namespace drover
