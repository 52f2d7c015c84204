// Removal of whole trees, with all that may keep single entries of them.
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr ino_t kSubvolumeRoot = BTRFS_FIRST_FREE_OBJECTID;

/// Opens what has such flags: a regular file or a directory, nothing that opening does something to.
Fd open_plain(const Dir& in, const std::string& name) {
  Fd path(::openat(in.fd(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat st;
  if (!path || ::fstat(path.get(), &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) return {};
  return Fd(
      ::open(("/proc/self/fd/" + std::to_string(path.get())).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
}

/// Takes away what chattr's +i and +a have set. False: there was nothing of the kind.
bool unprotect(int file) {
  int flags = 0;
  if (file < 0 || ::ioctl(file, FS_IOC_GETFLAGS, &flags) != 0) return false;
  if (!(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))) return false;
  flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
  return ::ioctl(file, FS_IOC_SETFLAGS, &flags) == 0;
}

/// Of an entry that is not empty: whether it was a subvolume of btrfs and is gone now. One that has others in
/// it can only be emptied, and is made writable for that.
bool destroy_subvolume(const Dir& in, const std::string& name) {
  Dir own = in.sub(name);
  struct statfs fs;
  if (own.stat().st_ino != kSubvolumeRoot || ::fstatfs(own.fd(), &fs) != 0 || fs.f_type != BTRFS_SUPER_MAGIC)
    return false;
  btrfs_ioctl_vol_args args{};
  if (name.size() >= sizeof args.name) return false;
  name.copy(args.name, name.size());
  if (::ioctl(in.fd(), BTRFS_IOC_SNAP_DESTROY, &args) == 0) return true;
  __u64 flags = 0;
  if (::ioctl(own.fd(), BTRFS_IOC_SUBVOL_GETFLAGS, &flags) == 0 && (flags & BTRFS_SUBVOL_RDONLY)) {
    flags &= ~static_cast<__u64>(BTRFS_SUBVOL_RDONLY);
    ::ioctl(own.fd(), BTRFS_IOC_SUBVOL_SETFLAGS, &flags);
  }
  return false;
}

/// Removes a file, an empty directory or a subvolume. False: it is a directory with something in it. `owned`:
/// the directory it is in is to go as well, and may be changed.
bool remove_entry(const Dir& in, const std::string& name, bool owned) {
  for (bool again : {false, true}) {
    if (::unlinkat(in.fd(), name.c_str(), 0) == 0 || errno == ENOENT) return true;
    int error = errno;
    if (error == EISDIR || error == EPERM) {
      // rmdir also removes an empty btrfs subvolume (since kernel 4.18) and refuses a mount point with EBUSY.
      if (::unlinkat(in.fd(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
      if (errno == ENOTEMPTY || errno == EEXIST) return destroy_subvolume(in, name);
      if (errno != ENOTDIR) error = errno;
    }
    // Either of them may be what is protected, or both.
    bool changed = false;
    if (error == EPERM && !again) {
      changed = unprotect(open_plain(in, name).get());
      if (owned) changed = unprotect(in.fd()) || changed;
    }
    if (!changed) throw_errno("cannot remove `" + in.path_of(name) + "`", error);
  }
  return true;
}

/// Depth first without recursion: a layer may nest deeper than a thread's stack.
void empty(const Dir& top, bool owned) {
  struct Level {
    Dir dir;
    std::vector<DirEntry> entries;
  };
  std::vector<Level> levels;
  levels.push_back({top.clone(), top.list()});
  while (true) {
    Level& level = levels.back();
    if (level.entries.empty()) {
      levels.pop_back();
      if (levels.empty()) return;
      continue;  // its name is still the last one of the level above
    }
    const std::string& name = level.entries.back().name;
    if (remove_entry(level.dir, name, owned || levels.size() > 1)) {
      level.entries.pop_back();
      continue;
    }
    Dir child = level.dir.sub(name);
    auto entries = child.list();
    if (entries.empty()) throw_errno("cannot remove `" + child.path() + "`", ENOTEMPTY);
    levels.push_back({std::move(child), std::move(entries)});
  }
}

}  // namespace

void Dir::remove_tree(std::string_view name) const {
  std::string entry(name);
  if (!exists(name)) return;
  if (remove_entry(*this, entry, false)) return;
  empty(sub(name), true);
  if (!remove_entry(*this, entry, false)) throw_errno("cannot remove `" + path_of(name) + "`", ENOTEMPTY);
}

void Dir::clear() const { empty(*this, false); }

}  // namespace drover
