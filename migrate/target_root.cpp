#include "migrate/target_root.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "drivers/driver.hpp"
#include "drivers/probe_scratch.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/nested_paths.hpp"

namespace drover {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void unusable(const std::string& dir, const std::string& why, const std::string& hint) {
  throw Error(ExitCode::usage, "cannot move the data root to `" + printable(dir) + "`: " + why, hint);
}

/// The path with the symlinks above its last part resolved, which must exist.
std::string resolved(const std::string& dir) {
  if (!dir.starts_with('/')) unusable(dir, "it is no absolute path", "name the folder from / on");
  if (as_utf8(dir) != dir || printable(dir) != dir)
    unusable(dir, "the engine's configuration cannot hold such a name", "name another folder");
  fs::path path = fs::path(dir).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path == "/") unusable(dir, "it is the host's root", "name a folder");
  std::error_code error;
  if (fs::is_symlink(path, error))
    unusable(dir, "it is a symlink",
             "name what it leads to: " + printable(fs::weakly_canonical(path, error).string()));
  if (fs::exists(path, error) && !fs::is_directory(path, error)) unusable(dir, "it is no folder", "");
  fs::path above = fs::canonical(path.parent_path(), error);
  if (error)
    throw Error("cannot move the data root to `" + printable(dir) + "`: there is no folder `" +
                    printable(path.parent_path().string()) + "`",
                "is the filesystem mounted that it should be on? If so, make that folder first");
  return (above / path.filename()).string();
}

void refuse_overlap(const std::string& dir, const std::string& old_root) {
  const char* fix = "name a folder that has nothing to do with the old one";
  if (is_within(dir, old_root))
    unusable(dir,
             is_within(old_root, dir) ? "it is the data root" : "it lies in the data root `" + old_root + "`",
             fix);
  if (is_within(old_root, dir)) unusable(dir, "the data root `" + old_root + "` lies in it", fix);
}

void require_empty(const std::string& path) {
  auto dir = Dir::try_open(path);
  if (!dir) return;
  if (auto open = find_open_migration(*dir)) {
    try {
      refuse_open_migration(*open, path);
    } catch (const Error& e) {
      throw Error(e.code(), e.what(), "with --data-root " + path + ": " + e.hint());
    }
  }
  std::vector<std::string> there;
  for (const DirEntry& entry : dir->list())
    // What is left in drover/ belongs to no open migration.
    if (entry.name != "lost+found" && entry.name != "drover") there.push_back(entry.name);
  if (there.empty()) return;
  std::sort(there.begin(), there.end());
  throw Error("`" + path + "` is not empty: there is " + some_names(there),
              "name a folder that is empty or not there yet; drover does not merge data roots");
}

/// Of a root that userns-remap has made: its name in the folder that the configuration names.
std::string mapped_name(const DataRoot& root) {
  std::string own = std::to_string(root.owner.uid) + "." + std::to_string(root.owner.gid);
  return fs::path(root.path).filename() == own ? own : "";
}

}  // namespace

std::string existing_part(const std::string& path) {
  fs::path at = path;
  while (!fs::exists(at)) at = at.parent_path();
  return at.string();
}

bool is_engine_scratch(const std::string& name) { return name == "tmp" || name == "tmp-old"; }

bool is_drovers(const std::string& name) {
  return name == kDroverFolder || name == "lost+found" || is_trial_scratch(name);
}

bool is_engine_name(const std::string& name) {
  // moby daemon/daemon.go, NewDaemon, from 1.7 to 29.
  constexpr std::string_view kNames[] = {"builder", "buildkit", "containerd", "containers", "engine-id",
                                         "image",   "network",  "plugins",    "rootfs",     "runtimes",
                                         "swarm",   "trust",    "volumes"};
  return find_driver(name) || is_engine_scratch(name) ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

std::string some_names(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 5;
  std::string list;
  for (std::size_t i = 0; i < names.size() && i < kMost; ++i)
    list += (i ? ", `" : "`") + printable(names[i]) + "`";
  if (names.size() > kMost) list += " and " + std::to_string(names.size() - kMost) + " more";
  return list;
}

RootMove plan_root_move(const std::string& dir, const DataRoot& old_root) {
  RootMove move;
  move.from_root = old_root.path;
  move.config_root = move.to_root = resolved(dir);
  std::string mapped = mapped_name(old_root), outer = old_root.path;
  if (!mapped.empty()) {
    if (fs::path(move.config_root).filename() == mapped)
      unusable(dir, "the engine makes `" + mapped + "` itself, for userns-remap", "name the folder above it");
    move.to_root += "/" + mapped;
    outer = outer.substr(0, outer.rfind('/'));
  }
  refuse_overlap(move.config_root, outer);
  require_empty(move.config_root);
  struct stat st;
  if (::stat(move.to_root.c_str(), &st) == 0) {
    move.mode = st.st_mode & 07777;
    move.uid = st.st_uid;
    move.gid = st.st_gid;
  }
  return move;
}

void refuse_mounts_below(const std::string& root, const std::string& fix) {
  std::vector<std::string> found;
  for (const MountEntry& mount : read_mounts())
    if (mount.target.starts_with(root + "/")) found.push_back(mount.target);
  if (found.empty()) return;
  throw Error(ExitCode::in_use, "there are mounts in `" + root + "`: " + some_names(found),
              "does a container still run? Stop it, or unmount what a killed engine has left: umount " +
                  printable(found.back()) + "; " + fix);
}

}  // namespace drover
