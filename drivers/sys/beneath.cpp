#include "drivers/sys/beneath.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "drivers/sys/fd.hpp"

namespace drover {

namespace {

constexpr std::uint64_t kBeneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

int open_resolved(int dir, const char* path, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = resolve;
  // The kernel answers EAGAIN when a rename raced with the lookup.
  for (int tries = 0;; ++tries) {
    long fd = ::syscall(SYS_openat2, dir, path, &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN || tries == 64) return static_cast<int>(fd);
  }
}

int refused(int error) {
  errno = error;
  return -1;
}

/// Each name is opened in the directory before it, and none is "..": where that one is moved to meanwhile
/// makes no difference.
int open_by_names(int dir, std::string_view path, int flags, bool same_mount) {
  if (path.empty()) return refused(ENOENT);
  if (path.starts_with('/')) return refused(EXDEV);
  const auto mount = same_mount ? mount_id_of(dir) : 0;
  if (!mount) return -1;
  Fd at;
  while (!path.empty()) {
    std::size_t cut = std::min(path.find('/'), path.size());
    std::string name(path.substr(0, cut));
    const bool last = path.find_first_not_of('/', cut) == std::string_view::npos;
    const bool slash = cut < path.size();
    path.remove_prefix(std::min(path.find_first_not_of('/', cut), path.size()));
    if (name == "..") return refused(EXDEV);
    int how = last ? flags | (slash ? O_DIRECTORY : 0) : O_PATH | O_DIRECTORY;
    Fd next(::openat(at ? at.get() : dir, name.c_str(), how | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return -1;
    struct stat st;
    if (::fstat(next.get(), &st) != 0) return -1;
    if (S_ISLNK(st.st_mode) && !(last && (flags & O_NOFOLLOW))) return refused(ELOOP);
    if (same_mount) {
      auto there = mount_id_of(next.get());
      if (!there) return -1;
      if (there != mount) return refused(EXDEV);
    }
    at = std::move(next);
  }
  return at.release();
}

}  // namespace

int open_beneath(int dir, const char* path, int flags, bool same_mount) {
  int fd = open_resolved(dir, path, flags, kBeneath | (same_mount ? RESOLVE_NO_XDEV : 0));
  return fd < 0 && errno == ENOSYS ? open_by_names(dir, path, flags, same_mount) : fd;
}

std::optional<std::uint64_t> mount_id_of(int fd) {
  Fd info(::open(("/proc/self/fdinfo/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC));
  char bytes[1024];
  ssize_t size = info ? ::read(info.get(), bytes, sizeof bytes) : -1;
  if (size < 0) return std::nullopt;
  constexpr std::string_view kKey = "mnt_id:\t";  // one of the first lines
  std::string_view text(bytes, static_cast<std::size_t>(size));
  std::uint64_t id = 0;
  if (std::size_t at = text.find(kKey); at != std::string_view::npos)
    if (std::from_chars(text.data() + at + kKey.size(), text.data() + text.size(), id).ec == std::errc{})
      return id;
  errno = ENOTSUP;  // before Linux 3.15
  return std::nullopt;
}

}  // namespace drover
