#include "drivers/respell.hpp"

#include <sys/sysmacros.h>

#include <string>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr const char* kTrustedOpaque = "trusted.overlay.opaque";
constexpr const char* kUserOpaque[] = {"user.overlay.opaque", "user.fuseoverlayfs.opaque"};
constexpr const char* kOpaqueMark = ".wh..wh..opq";

std::string file_of(std::string_view name) { return std::string(".wh.").append(name); }

bool is_device_mark(const std::optional<struct stat>& st) {
  return st && S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/// Neither hide() nor any driver makes one for a name that is too long for it.
std::optional<struct stat> mark_file(const Dir& dir, std::string_view name) {
  constexpr std::size_t kLongest = 255;
  std::string file = file_of(name);
  auto st = file.size() <= kLongest ? dir.try_stat(file) : std::nullopt;
  return st && S_ISREG(st->st_mode) ? st : std::nullopt;
}

bool has_opaque_file(const Dir& dir) {
  auto st = dir.try_stat(kOpaqueMark);
  return st && S_ISREG(st->st_mode);
}

bool says_opaque(const Dir& dir, const char* attribute) {
  auto value = dir.xattr("", attribute);
  return value && *value == "y";
}

/// fuse-overlayfs reads these as well as the other one; elsewhere they are content.
bool user_spellings_go(Marks from, Marks to) {
  return from == Marks::fuse_overlayfs && to != Marks::fuse_overlayfs;
}

}  // namespace

bool spells_whiteout(Marks marks, const Dir& dir, std::string_view name) {
  bool device = is_device_mark(dir.try_stat(name)), file = mark_file(dir, name).has_value();
  return marks == Marks::aufs ? file && !device : device && !file;
}

bool spells_opaque(Marks from, Marks to, const Dir& dir) {
  bool trusted = says_opaque(dir, kTrustedOpaque), file = has_opaque_file(dir), user = false;
  if (user_spellings_go(from, to))
    for (const char* attribute : kUserOpaque) user = user || says_opaque(dir, attribute);
  // fuse-overlayfs makes both, and reads either.
  if (to == Marks::fuse_overlayfs && from != Marks::aufs) return trusted || file;
  return !user && (to == Marks::aufs ? file && !trusted : trusted && !file);
}

void respell_whiteout(Marks to, const Dir& dir, std::string_view name) {
  auto there = dir.try_stat(name);
  bool device = is_device_mark(there), file = mark_file(dir, name).has_value();
  if ((there && !device) || (!device && !file))
    throw Error("`" + dir.path_of(name) + "` is not marked as gone any more",
                "is something at work in this data root?");
  if (to == Marks::aufs) {
    if (!file) hide(to, dir, name);
    if (device) dir.unlink(name);
  } else {
    if (!device) hide(to, dir, name);
    if (file) dir.unlink(file_of(name));
  }
}

void respell_opaque(Marks from, Marks to, const Dir& dir) {
  if (to == Marks::aufs ? !has_opaque_file(dir) : !says_opaque(dir, kTrustedOpaque)) make_opaque(to, dir);
  if (to != Marks::aufs && has_opaque_file(dir)) dir.unlink(kOpaqueMark);
  if (to == Marks::aufs && says_opaque(dir, kTrustedOpaque)) dir.remove_xattr("", kTrustedOpaque);
  if (user_spellings_go(from, to))
    for (const char* attribute : kUserOpaque)
      if (says_opaque(dir, attribute)) dir.remove_xattr("", attribute);
}

bool is_opaque_xattr(std::string_view attribute) {
  return attribute == kTrustedOpaque || attribute == kUserOpaque[0] || attribute == kUserOpaque[1];
}

bool is_fuse_leftover(const Dir& dir, std::string_view name) {
  return name == ".wh..opq" && is_device_mark(dir.try_stat(name));
}

void remove_fuse_leftover(const Dir& dir, std::string_view name) {
  if (is_fuse_leftover(dir, name)) dir.unlink(name);
}

}  // namespace drover
