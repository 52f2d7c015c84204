// Removal of whole trees, with all that may keep single entries of them.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "drivers/sys/btrfs_ioctl.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/trail.hpp"

namespace drover {

namespace {

/// Opens what has such flags: a regular file or a directory, nothing that opening does something to.
Fd open_plain(const Dir& in, const std::string& name) {
  Fd path(::openat(in.fd(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat st;
  if (!path || ::fstat(path.get(), &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) return {};
  return Fd(
      ::open(("/proc/self/fd/" + std::to_string(path.get())).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
}

constexpr int kProtection = FS_IMMUTABLE_FL | FS_APPEND_FL;

/// What chattr's +i and +a have set is taken away from an inode. It belongs to all names of a file, and one
/// of those may be in use: where others are left when this ends, it is as it was.
class Unprotected {
 public:
  Unprotected() = default;
  explicit Unprotected(int file) {
    if (file < 0 || ::ioctl(file, FS_IOC_GETFLAGS, &flags_) != 0 || !(flags_ & kProtection)) return;
    int without = flags_ & ~kProtection;
    if (disk::ioctl(file, FS_IOC_SETFLAGS, &without) == 0) file_ = Fd(::fcntl(file, F_DUPFD_CLOEXEC, 0));
    done_ = static_cast<bool>(file_);
  }
  Unprotected(Unprotected&& other) noexcept = default;
  Unprotected& operator=(Unprotected&& other) noexcept = default;
  ~Unprotected() {
    struct stat st;
    if (!file_ || ::fstat(file_.get(), &st) != 0 || S_ISDIR(st.st_mode) || st.st_nlink == 0) return;
    disk::ioctl(file_.get(), FS_IOC_SETFLAGS, &flags_);
  }
  bool done() const { return done_; }

 private:
  Fd file_;
  int flags_ = 0;
  bool done_ = false;
};

/// Of a directory that is not empty: opened, to be emptied; nothing if it was a subvolume of btrfs and is
/// gone now. A subvolume that has others in it can only be emptied, and is made writable for that.
std::optional<Dir> remove_subvolume_or_open(const Dir& in, const std::string& name) {
  Dir own = in.sub(name);
  if (!is_subvolume(own)) return own;
  if (destroy_subvolume(in, name)) return std::nullopt;
  make_writable(own);
  return own;
}

/// Removes a file, an empty directory or a subvolume. Anything else is a directory with something in it,
/// which is opened. `owned`: the directory it is in is to go as well, and may be changed. `is_dir` is what it
/// is likely to be: of what it is not, the call that it does not need is made first.
std::optional<Dir> remove_or_open(const Dir& in, const std::string& name, bool owned, bool is_dir) {
  Unprotected file, above;
  while (true) {
    // rmdir refuses a mount point with EBUSY, and an empty subvolume of btrfs with EPERM before Linux 4.18.
    if (disk::unlinkat(in.fd(), name.c_str(), is_dir ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT) return {};
    int error = errno;
    if (is_dir && (error == ENOTEMPTY || error == EEXIST)) return remove_subvolume_or_open(in, name);
    if (error == (is_dir ? ENOTDIR : EISDIR)) {
      is_dir = !is_dir;
      continue;
    }
    // Either of them may be what is protected, or both; once.
    if (error == EPERM && !file.done() && !above.done()) {
      file = Unprotected(open_plain(in, name).get());
      if (owned) above = Unprotected(in.fd());
      if (file.done() || above.done()) continue;
    }
    if (is_dir && error == EPERM)
      if (auto own = in.try_sub(name); own && is_subvolume(*own) && destroy_subvolume(in, name)) return {};
    throw_errno("cannot remove `" + in.path_of(name) + "`", error);
  }
}

/// Depth first without recursion: a layer may nest deeper than a thread's stack, and than a process may have
/// files open.
void empty(const Dir& top, bool owned) {
  struct Level {
    TrailDir dir;
    std::vector<DirEntry> entries;
    void let_go(const Level&) { dir.let_go(); }
    void reach_from(const Level& below) { dir.reach_from(below.dir); }
  };
  Trail<Level> levels;
  levels.push({TrailDir(top.clone()), top.list()});
  while (true) {
    check_interrupted();
    Level& level = levels.back();
    if (level.entries.empty()) {
      if (levels.size() == 1) return;
      levels.pop();
      continue;  // its name is still the last one of the level above
    }
    const DirEntry& entry = level.entries.back();
    auto child = remove_or_open(*level.dir, entry.name, owned || levels.size() > 1, entry.type == DT_DIR);
    if (!child) {
      level.entries.pop_back();
      continue;
    }
    auto entries = child->list();
    if (entries.empty()) throw_errno("cannot remove `" + child->path() + "`", ENOTEMPTY);
    levels.push({TrailDir(std::move(*child)), std::move(entries)});
  }
}

}  // namespace

void Dir::remove_tree(std::string_view name) const {
  std::string entry(name);
  auto found = try_stat(name);
  if (!found) return;
  auto open = remove_or_open(*this, entry, false, S_ISDIR(found->st_mode));
  if (!open) return;
  empty(*open, true);
  if (remove_or_open(*this, entry, false, true))
    throw_errno("cannot remove `" + path_of(name) + "`", ENOTEMPTY);
}

void Dir::clear() const { empty(*this, false); }

}  // namespace drover
