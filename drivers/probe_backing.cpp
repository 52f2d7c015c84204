#include "drivers/probe_backing.hpp"

#include <dirent.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "drivers/probe_scratch.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/mount.hpp"

namespace drover {

namespace {

struct FilesystemName {
  long type;
  const char* name;
};
constexpr FilesystemName kNames[] = {
    {0x61756673, "aufs"},  {0x9123683E, "btrfs"},    {0x28cd3d45, "cramfs"}, {0xf15f, "ecryptfs"},
    {0xEF53, "extfs"},     {0xF2F52010, "f2fs"},     {0x65735546, "fuse"},   {0x47504653, "gpfs"},
    {0x72b6, "jffs2"},     {0x3153464a, "jfs"},      {0x6969, "nfs"},        {0x794C7630, "overlayfs"},
    {0x858458f6, "ramfs"}, {0x52654973, "reiserfs"}, {0x517B, "smb"},        {0x73717368, "squashfs"},
    {0x01021994, "tmpfs"}, {0xa501fcf5, "vxfs"},     {0x58465342, "xfs"},    {0x2fc12fc1, "zfs"},
};

bool has_option(const std::string& options, std::string_view wanted) {
  std::istringstream words(options);
  for (std::string word; std::getline(words, word, ',');)
    if (word == wanted) return true;
  return false;
}

std::string quota_kind(const BackingFilesystem& fs, const std::string& options) {
  if (fs.type == "btrfs") return "qgroup";
  bool project = has_option(options, "prjquota") || has_option(options, "pquota");
  return fs.type == "xfs" && project ? "project" : "none";
}

bool can_write_xattr(const Dir& dir) {
  try {
    dir.set_xattr("", in_user_namespace() ? "user.drover" : "trusted.drover", "y");
    return true;
  } catch (const SystemError&) {
    return false;
  }
}

/// A running engine's data root is mounted on itself; what counts is the mount that it is a part of.
MountEntry without_self_bind(const std::vector<MountEntry>& mounts, MountEntry mount) {
  std::size_t slash = mount.target.rfind('/');
  if (slash == std::string::npos || mount.target == "/") return mount;
  auto above = mount_of(mounts, slash == 0 ? "/" : mount.target.substr(0, slash));
  if (!above || above->device != mount.device) return mount;
  auto part = [](const std::string& path) { return path == "/" ? std::string() : path; };
  std::string same = part(above->root) + mount.target.substr(part(above->target).size());
  return mount.root == same ? without_self_bind(mounts, *above) : mount;
}

/// Without the right to write, the entries that are there already tell.
std::optional<bool> d_type_of_entries(const std::string& place) {
  try {
    auto entries = Dir::open(place).list();
    if (entries.empty()) return std::nullopt;
    return std::any_of(entries.begin(), entries.end(), [](const auto& e) { return e.type != DT_UNKNOWN; });
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

std::string engine_filesystem_name(long statfs_type) {
  for (const auto& known : kNames)
    if (static_cast<std::uint32_t>(known.type) == static_cast<std::uint32_t>(statfs_type)) return known.name;
  return "";
}

bool readdir_tells_type(const Dir& dir) {
  dir.write_new("d_type", "", 0600);
  for (const auto& entry : dir.list())
    if (entry.name == "d_type") return entry.type == DT_REG;
  return false;
}

bool can_reflink(const Dir& dir) {
  dir.write_new("reflink-source", std::string(4096, 'x'), 0600);
  Fd source = dir.open_file("reflink-source");
  Fd target = dir.open_file("reflink-target", O_WRONLY | O_CREAT | O_EXCL, 0600);
  return disk::clone_file(target.get(), source.get()) == 0;
}

BackingFilesystem probe_backing(const std::string& path) {
  BackingFilesystem fs;
  std::error_code ignored;
  fs.place = nearest_existing(path);
  if (auto resolved = std::filesystem::canonical(fs.place, ignored); !ignored) fs.place = resolved.string();
  struct statfs plain;
  struct statvfs space;
  if (::statfs(fs.place.c_str(), &plain) != 0 || ::statvfs(fs.place.c_str(), &space) != 0)
    throw_errno("cannot look at the filesystem of `" + fs.place + "`");
  fs.type = engine_filesystem_name(plain.f_type);
  fs.total_bytes = space.f_blocks * space.f_frsize;
  fs.free_bytes = space.f_bavail * space.f_frsize;
  fs.total_inodes = space.f_files;
  fs.free_inodes = space.f_favail;
  fs.read_only = space.f_flag & ST_RDONLY;
  auto mounts = read_mounts();
  if (auto found = mount_of(mounts, fs.place)) {
    MountEntry mount = without_self_bind(mounts, *found);
    fs.kernel_type = mount.fstype;
    fs.mount_point = mount.target;
    fs.source = mount.source;
    fs.quota = quota_kind(fs, mount.options);
  }
  if (fs.type.empty()) fs.type = fs.kernel_type;
  try {
    Scratch scratch(fs.place);
    fs.d_type = readdir_tells_type(scratch.dir());
    fs.reflink = can_reflink(scratch.dir());
    fs.xattr = can_write_xattr(scratch.dir());
  } catch (const SystemError& e) {
    log_detail(std::string("what the filesystem can do stays open: ") + e.what());
    if (!fs.d_type) fs.d_type = d_type_of_entries(fs.place);
  }
  return fs;
}

}  // namespace drover
