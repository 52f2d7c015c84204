#include "migrate/move_check.hpp"

#include <sys/stat.h>

#include <filesystem>

#include "detect/config_root.hpp"
#include "drivers/attributes.hpp"
#include "drivers/driver.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/root_paths.hpp"
#include "migrate/target_root.hpp"

namespace drover {

namespace {

/// The data root that the engine finds by its configuration alone.
std::string root_without_flags(const EngineConfig& config, const RootMove& move) {
  std::string root = root_of_config(config.config_text).value_or("/var/lib/docker");
  std::error_code ignored;
  root = std::filesystem::weakly_canonical(root, ignored).string();
  // With userns-remap, the same folder in it.
  return root + move.to_root.substr(move.config_root.size());
}

void note_neighbours(const RootMove& move, std::vector<std::string>& notes) {
  std::string mapped = move.to_root.substr(move.config_root.size());
  if (mapped.empty()) return;
  std::string above = move.from_root.substr(0, move.from_root.size() - mapped.size());
  auto dir = Dir::try_open(above);
  if (!dir) return;
  for (const DirEntry& entry : dir->list())
    if (auto other = "/" + entry.name != mapped ? dir->try_sub(entry.name) : std::nullopt)
      if (entry.name == "image" || other->try_sub("image"))
        notes.push_back("`" + (entry.name == "image" ? above : other->path()) +
                        "` is a data root of its own, and stays where it is");
}

}  // namespace

void check_root_move(const RootMove& move, const EngineConfig& config, const BackingFilesystem& target,
                     DriverKind to) {
  std::string name(driver_name(to));
  // Their layers lie beside the root: both roots' would be in one place, under one name each.
  if (to == DriverKind::zfs || to == DriverKind::devicemapper)
    throw Error(ExitCode::not_usable,
                "cannot move the data root as one of " + name + ": its layers do not lie in the data root",
                "move it with another driver (--to), commit that, then: drover migrate --to " + name);
  refuse_mounts_below(move.from_root,
                      "what is to stay mounted there (a volume's own disk): unmount it as well, and mount it "
                      "below `" +
                          move.to_root + "` afterwards");
  refuse_mounts_below(move.to_root, "drover fills the new root itself");
  // One with drover's folder in it is half made, and may have what the old root has.
  if (auto there = Dir::try_open(move.to_root);
      there && !there->exists(kDroverFolder) && there->xattr("", kDefaultAcl))
    throw Error("`" + move.to_root + "` has a default ACL, which all that is made in it would get",
                "take it away first: setfacl -k " + move.to_root);
  refuse_root_flags(config);
  std::string cannot =
      "cannot move the data root to `" + move.to_root + "`: the filesystem of `" + target.mount_point + "` ";
  if (target.read_only) throw Error(cannot + "is mounted read-only", "mount it for writing");
  if (target.xattr == false)
    throw Error(ExitCode::not_usable, cannot + "(" + target.kernel_type + ") holds no extended attributes",
                "use one that does: ext4, xfs, btrfs");
}

bool on_one_filesystem(const RootMove& move) {
  struct stat a, b;
  return ::stat(move.from_root.c_str(), &a) == 0 && ::stat(existing_part(move.to_root).c_str(), &b) == 0 &&
         a.st_dev == b.st_dev;
}

std::vector<std::string> notes_of_move(const RootMove& move, const DataRoot& root, const Dir& old_root,
                                       const EngineConfig& config, const BackingFilesystem& target,
                                       const RootRest& rest) {
  std::vector<std::string> notes;
  if (root.source.starts_with("flag ") && root_without_flags(config, move) != move.from_root)
    notes.push_back(
        "`" + config.config_path + "` does not name `" + move.from_root +
        "`: if the engine is given it with --data-root on its command line, take that out; it does "
        "not start with both");
  if (target.kernel_type == "tmpfs" || target.kernel_type == "ramfs")
    notes.push_back("`" + move.to_root + "` is in memory (" + target.kernel_type +
                    "): all is gone when the host restarts");
  else if (!on_one_filesystem(move) && target.mount_point != "/")
    notes.push_back("`" + target.mount_point +
                    "` must be mounted whenever the engine starts, or it comes up empty: RequiresMountsFor=" +
                    move.config_root + " in docker.service");
  if (!rest.foreign.empty())
    notes.push_back("what no engine has made comes along, too: " + some_names(rest.foreign));
  for (const std::string& left : rest.left)
    notes.push_back("stays behind in `" + move.from_root + "`: " + left);
  for (const UserPath& path : user_paths_into(old_root, move.from_root))
    notes.push_back(path.of + " names `" + path.path +
                    "` by its path, and goes on using the old one: make it anew before `drover commit`");
  if (rest.facts.protected_entries > 0)
    notes.push_back(
        std::to_string(rest.facts.protected_entries) +
        " files or folders besides layers are immutable or append-only (chattr +i, +a): these flags "
        "are not carried");
  note_neighbours(move, notes);
  return notes;
}

}  // namespace drover
