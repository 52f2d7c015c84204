#include "drivers/sys/dir.hpp"

#include <dirent.h>
#include <limits.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "drivers/sys/beneath.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

constexpr std::size_t kPathChunk = 2048;  // of PATH_MAX (4096): longer paths are walked in several steps

bool is_single_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

std::string checked(std::string_view name, const Dir& dir) {
  if (!is_single_name(name))
    throw_errno("bad name `" + std::string(name) + "` in `" + dir.path() + "`", EINVAL);
  return std::string(name);
}

[[noreturn]] void fail(const char* verb, const Dir& dir, std::string_view name, int number = errno) {
  throw_errno(std::string("cannot ") + verb + " `" + dir.path_of(name) + "`", number);
}

int open_dir_at(int at, const std::string& name) {
  return ::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/// Takes the next piece of `path`, at most kPathChunk bytes, cut at a slash.
std::string_view take_chunk(std::string_view& path) {
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  std::string_view chunk = path;
  if (chunk.size() > kPathChunk) {
    std::size_t cut = chunk.rfind('/', kPathChunk);
    if (cut == std::string_view::npos) cut = chunk.find('/');
    chunk = chunk.substr(0, cut);
  }
  path.remove_prefix(chunk.size());
  return chunk;
}

}  // namespace

std::string Dir::path_of(std::string_view name) const {
  if (name.empty()) return path_;
  std::string path = path_;
  if (!path.ends_with('/')) path += '/';
  path += name;
  // A deep walk would have a longer one at each level.
  return path.size() < PATH_MAX ? path : shortened_path(path);
}

Dir Dir::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw_errno("cannot open `" + path + "`");
  return Dir(std::move(fd), path);
}

std::optional<Dir> Dir::try_open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) return Dir(std::move(fd), path);
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw_errno("cannot open `" + path + "`");
}

Dir Dir::clone() const {
  Fd fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd) fail("open", *this, "");
  return Dir(std::move(fd), path_);
}

Dir Dir::above(std::string path) const {
  Fd fd(::openat(fd_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw_errno("cannot open `" + path + "`");
  return Dir(std::move(fd), std::move(path));
}

Dir Dir::sub(std::string_view name) const {
  Fd fd(open_dir_at(fd_.get(), checked(name, *this)));
  if (!fd) fail("open", *this, name);
  return Dir(std::move(fd), path_of(name));
}

std::optional<Dir> Dir::try_sub(std::string_view name) const {
  Fd fd(open_dir_at(fd_.get(), checked(name, *this)));
  if (fd) return Dir(std::move(fd), path_of(name));
  if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return std::nullopt;
  fail("open", *this, name);
}

std::optional<Dir> Dir::try_sub_same_mount(std::string_view name) const {
  Fd fd(open_beneath(fd_.get(), checked(name, *this).c_str(), O_RDONLY | O_DIRECTORY, true));
  if (!fd) return std::nullopt;
  return Dir(std::move(fd), path_of(name));
}

Dir Dir::walk(std::string_view relative) const {
  auto there = try_walk(relative);
  if (!there) fail("open", *this, relative);
  return std::move(*there);
}

std::optional<Dir> Dir::try_walk(std::string_view relative) const {
  std::optional<Dir> below;
  for (std::string_view rest = relative; !rest.empty();) {
    std::string chunk(take_chunk(rest));
    if (chunk.empty()) break;
    const Dir& at = below ? *below : *this;
    Fd fd(open_beneath(at.fd(), chunk.c_str(), O_RDONLY | O_DIRECTORY));
    if (!fd) {
      if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return std::nullopt;
      fail("open", *this, relative);
    }
    below = Dir(std::move(fd), at.path_of(chunk));
  }
  return below ? std::move(*below) : clone();
}

Dir Dir::make_path(std::string_view relative, mode_t mode) const {
  Dir at = clone();
  for (std::string_view rest = relative; !rest.empty();) {
    std::size_t cut = std::min(rest.find('/'), rest.size());
    std::string_view name = rest.substr(0, cut);
    rest.remove_prefix(std::min(cut + 1, rest.size()));
    if (name.empty()) continue;
    if (disk::mkdirat(at.fd(), checked(name, at).c_str(), mode) != 0 && errno != EEXIST)
      fail("create", at, name);
    at = at.sub(name);
  }
  return at;
}

Fd Dir::open_file(std::string_view name, int flags, mode_t mode) const {
  int all = flags | O_NOFOLLOW | O_CLOEXEC;
  std::string n = checked(name, *this);
  Fd fd(flags & (O_CREAT | O_TRUNC) ? disk::openat(fd_.get(), n.c_str(), all, mode)
                                    : ::openat(fd_.get(), n.c_str(), all));
  if (!fd) fail(flags & O_CREAT ? "create" : "open", *this, name);
  return fd;
}

std::optional<Fd> Dir::try_open_file(std::string_view name, int flags) const {
  Fd fd(::openat(fd_.get(), checked(name, *this).c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
  if (fd) return fd;
  if (errno == ENOENT) return std::nullopt;
  fail("open", *this, name);
}

std::optional<Fd> Dir::try_open_regular(std::string_view name, int flags) const {
  auto found = try_open_file(name, O_PATH);
  if (!found) return std::nullopt;
  struct stat st;
  if (::fstat(found->get(), &st) != 0) fail("stat", *this, name);
  if (!S_ISREG(st.st_mode)) throw Error("cannot read `" + path_of(name) + "`: not a regular file");
  // The very inode that was looked at, whatever has the name by now.
  Fd fd(::open(("/proc/self/fd/" + std::to_string(found->get())).c_str(), flags | O_CLOEXEC));
  if (!fd) fail("open", *this, name);
  return fd;
}

Fd Dir::open_regular(std::string_view name, int flags) const {
  if (auto fd = try_open_regular(name, flags)) return std::move(*fd);
  fail("open", *this, name, ENOENT);
}

struct stat Dir::stat() const {
  struct stat st;
  if (::fstat(fd_.get(), &st) != 0) fail("stat", *this, "");
  return st;
}

struct stat Dir::stat(std::string_view name) const {
  struct stat st;
  if (::fstatat(fd_.get(), checked(name, *this).c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
    fail("stat", *this, name);
  return st;
}

std::optional<struct stat> Dir::try_stat(std::string_view name) const {
  struct stat st;
  if (::fstatat(fd_.get(), checked(name, *this).c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return st;
  if (errno == ENOENT) return std::nullopt;
  fail("stat", *this, name);
}

std::string Dir::read_link(std::string_view name) const {
  std::string target(256, '\0');
  for (;;) {
    ssize_t n = ::readlinkat(fd_.get(), checked(name, *this).c_str(), target.data(), target.size());
    if (n < 0) fail("read link", *this, name);
    if (static_cast<std::size_t>(n) < target.size()) {
      target.resize(static_cast<std::size_t>(n));
      return target;
    }
    target.resize(target.size() * 2);
  }
}

std::vector<DirEntry> Dir::list() const {
  // A duplicate would share its offset with this handle: open the directory anew.
  Fd fd(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) fail("open", *this, "");
  struct linux_dirent64 {
    std::uint64_t d_ino;
    std::int64_t d_off;
    unsigned short d_reclen;
    unsigned char d_type;
    char d_name[];
  };
  constexpr std::size_t kBlock = 32 << 10;
  auto block = std::make_unique_for_overwrite<char[]>(kBlock);
  std::vector<DirEntry> entries;
  for (;;) {
    long n = ::syscall(SYS_getdents64, fd.get(), block.get(), kBlock);
    if (n < 0) fail("read", *this, "");
    if (n == 0) return entries;
    for (char* p = block.get(); p < block.get() + n;) {
      auto* d = reinterpret_cast<linux_dirent64*>(p);
      p += d->d_reclen;
      if (std::strcmp(d->d_name, ".") == 0 || std::strcmp(d->d_name, "..") == 0) continue;
      entries.push_back({d->d_name, d->d_type, d->d_ino});
    }
  }
}

std::string Dir::read(std::string_view name, std::size_t limit) const {
  if (auto text = try_read(name, limit)) return std::move(*text);
  fail("read", *this, name, ENOENT);
}

namespace {
/// To the file's end. `size` is where that was, if it is known of a regular file on a disk: such a file gives
/// less than it is asked for at its end alone, one of /proc wherever it likes.
std::string read_to_end(int fd, std::optional<std::size_t> size, std::size_t limit, const Dir& dir,
                        std::string_view name) {
  constexpr std::size_t kLikely = 4095;
  std::string text;
  for (;;) {
    std::size_t have = text.size();
    text.resize(have + std::max(size.value_or(kLikely) + 1, have));
    ssize_t n = ::read(fd, text.data() + have, text.size() - have);
    if (n < 0) fail("read", dir, name);
    text.resize(have + static_cast<std::size_t>(n));
    if (text.size() > limit)
      throw Error("cannot read `" + dir.path_of(name) + "`: larger than " + std::to_string(limit) + " bytes");
    if (n == 0 || text.size() == size) return text;
  }
}
}  // namespace

std::optional<std::string> Dir::try_read(std::string_view name, std::size_t limit) const {
  auto fd = try_open_regular(name);
  if (!fd) return std::nullopt;
  return read_to_end(fd->get(), std::nullopt, limit, *this, name);
}

std::string Dir::read_seen(std::string_view name, const struct stat& seen, std::size_t limit) const {
  Fd fd = open_file(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  return read_to_end(fd.get(), std::min(static_cast<std::size_t>(seen.st_size), limit), limit, *this, name);
}

void Dir::make_dir(std::string_view name, mode_t mode) const {
  if (disk::mkdirat(fd_.get(), checked(name, *this).c_str(), mode) != 0) fail("create", *this, name);
}

namespace {
/// A fixed name: what a crash leaves behind is known by it.
constexpr std::string_view kUnfinished = ".drover-new";
std::string unfinished_name(std::string_view name) {
  return "." + std::string(name) + std::string(kUnfinished);
}

void write_all(int fd, std::string_view content, const Dir& dir, std::string_view name) {
  while (!content.empty()) {
    ssize_t n = disk::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write", dir, name);
    content.remove_prefix(static_cast<std::size_t>(n));
  }
}
}  // namespace

void Dir::write_new(std::string_view name, std::string_view content, mode_t mode) const {
  Fd fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL, mode);
  write_all(fd.get(), content, *this, name);
}

bool Dir::is_unfinished(std::string_view name) {
  return name.starts_with('.') && name.ends_with(kUnfinished);
}

void Dir::discard_unfinished(std::string_view name) const {
  if (std::string temp = unfinished_name(name); exists(temp)) unlink(temp);
}

void Dir::write_atomic(std::string_view name, std::string_view content, mode_t mode, uid_t uid, gid_t gid,
                       const std::vector<Xattr>& xattrs) const {
  discard_unfinished(name);
  std::string temp = unfinished_name(name);
  try {
    Fd fd = open_file(temp, O_WRONLY | O_CREAT | O_EXCL, 0600);
    write_all(fd.get(), content, *this, temp);
    if (disk::fchown(fd.get(), uid, gid) != 0) fail("change the owner of", *this, temp);
    for (const auto& [attribute, value] : xattrs) set_xattr(temp, attribute, value);
    if (disk::fchmod(fd.get(), mode) != 0) fail("change the mode of", *this, temp);
    if (disk::fsync(fd.get()) != 0) fail("sync", *this, temp);
    fd.reset();
    rename(temp, *this, name);
  } catch (const Error&) {
    disk::unlinkat(fd_.get(), temp.c_str(), 0);
    throw;
  }
  sync();
}

void Dir::make_symlink(std::string_view name, const std::string& target) const {
  if (disk::symlinkat(target.c_str(), fd_.get(), checked(name, *this).c_str()) != 0)
    fail("create", *this, name);
}

void Dir::make_node(std::string_view name, mode_t mode, dev_t device) const {
  if (disk::mknodat(fd_.get(), checked(name, *this).c_str(), mode, device) != 0) fail("create", *this, name);
}

void Dir::unlink(std::string_view name) const {
  if (disk::unlinkat(fd_.get(), checked(name, *this).c_str(), 0) != 0) fail("remove", *this, name);
}

void Dir::remove_dir(std::string_view name) const {
  if (disk::unlinkat(fd_.get(), checked(name, *this).c_str(), AT_REMOVEDIR) != 0) fail("remove", *this, name);
}

void Dir::rename(std::string_view from, const Dir& to_dir, std::string_view to, unsigned flags) const {
  auto rename_with = [&](unsigned used) {
    return disk::renameat2(fd_.get(), checked(from, *this).c_str(), to_dir.fd(), checked(to, to_dir).c_str(),
                           used);
  };
  if (rename_with(flags) == 0) return;
  // zfs before 2.2 knows no flags at all. Looking first is as good where nobody else makes names.
  int error = errno;
  if (error == EINVAL && flags == RENAME_NOREPLACE) {
    if (to_dir.exists(to))
      error = EEXIST;
    else
      error = rename_with(0) == 0 ? 0 : errno;
  }
  if (error != 0) throw_errno("cannot rename `" + path_of(from) + "` to `" + to_dir.path_of(to) + "`", error);
}

void Dir::sync() const {
  if (disk::fsync(fd_.get()) != 0) fail("sync", *this, "");
}

void Dir::sync_fs() const {
  if (disk::syncfs(fd_.get()) != 0) fail("sync", *this, "");
}

// There is no fgetxattr for a symlink or a device: the *xattr calls go through /proc/self/fd, whose last
// component is the name itself and is not followed.
std::string Dir::name_here(std::string_view name) const { return name.empty() ? "." : checked(name, *this); }

std::string Dir::proc_path(std::string_view name) const {
  std::string path = "/proc/self/fd/" + std::to_string(fd_.get());
  return name.empty() ? path + "/." : path + "/" + checked(name, *this);
}

}  // namespace drover
