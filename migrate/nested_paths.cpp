#include "migrate/nested_paths.hpp"

#include <sys/stat.h>

#include <climits>
#include <filesystem>

#include "drivers/sys/mount.hpp"

namespace drover {

namespace fs = std::filesystem;

namespace {

bool is_below(const std::string& inner, const std::string& outer) {
  return (inner + "/").starts_with(outer + "/");
}

/// Whether one of the folders on a path is the one with these facts.
bool passes_through(fs::path path, const struct stat& folder) {
  for (;; path = path.parent_path()) {
    struct stat st;
    if (::stat(path.c_str(), &st) == 0 && st.st_dev == folder.st_dev && st.st_ino == folder.st_ino)
      return true;
    if (path == path.parent_path()) return false;
  }
}

/// The path in its filesystem, as the mount table tells; the filesystem's root is "".
std::string path_on_disk(const MountEntry& mount, const std::string& path) {
  return (mount.root == "/" ? "" : mount.root) + path.substr(mount.target == "/" ? 0 : mount.target.size());
}

/// By where they are on disk: of a folder that is mounted elsewhere, too, no path says what it lies in.
bool is_below_on_disk(const std::string& inner, const std::string& outer) {
  std::vector<MountEntry> mounts = read_mounts();
  auto inner_mount = mount_of(mounts, inner), outer_mount = mount_of(mounts, outer);
  return inner_mount && outer_mount && inner_mount->device == outer_mount->device &&
         is_below(path_on_disk(*inner_mount, inner), path_on_disk(*outer_mount, outer));
}

}  // namespace

bool leads_to(const std::string& path, const Dir& folder) {
  struct stat there, own = folder.stat();
  return ::stat(path.c_str(), &there) == 0 && there.st_dev == own.st_dev && there.st_ino == own.st_ino;
}

bool is_within(const std::string& inner, const std::string& outer) {
  if (is_below(inner, outer)) return true;
  struct stat folder;
  // No call opens a longer path; it may come from a file.
  if (inner.size() >= PATH_MAX || ::stat(outer.c_str(), &folder) != 0) return false;
  std::error_code error;
  const fs::path real_inner = fs::weakly_canonical(inner, error);
  if (error) return passes_through(inner, folder);
  const fs::path real_outer = fs::canonical(outer, error);
  return passes_through(real_inner, folder) ||
         (!error && is_below_on_disk(real_inner.string(), real_outer.string()));
}

}  // namespace drover
