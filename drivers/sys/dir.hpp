#pragma once
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/sys/fd.hpp"

namespace drover {

/// What getdents says of one entry; `type` is a DT_ constant and may be DT_UNKNOWN.
struct DirEntry {
  std::string name;
  unsigned char type;
  std::uint64_t inode;
};

/// One extended attribute: name and value, both bytes.
using Xattr = std::pair<std::string, std::string>;

/// A directory handle. Everything below it is reached relative to it, and no call follows a symlink out of
/// it: single names are opened with O_NOFOLLOW, paths by open_beneath. A name is one path
/// component; "", ".", ".." and names with a slash are refused with EINVAL. All functions throw SystemError
/// unless their comment says otherwise.
class Dir {
 public:
  Dir() = default;
  /// Opens a path that the user or our own code named; symlinks are followed. Not for what lies in a data
  /// root: that is reached from a handle of it, and a driver's home by HomeFolder.
  static Dir open(const std::string& path);
  static std::optional<Dir> try_open(const std::string& path);  ///< nothing if there is none
  /// Takes over a descriptor; `path` serves messages only.
  Dir(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  /// Where this was opened: for messages, never for opening. One that no call could open is shortened.
  const std::string& path() const noexcept { return path_; }
  std::string path_of(std::string_view name) const;

  Dir clone() const;
  /// The directory that holds this one; `path` serves messages only. For walks that know what it must be.
  Dir above(std::string path) const;
  Dir sub(std::string_view name) const;
  /// Nothing if `name` is absent or is no directory.
  std::optional<Dir> try_sub(std::string_view name) const;
  /// For who measures: nothing for a mount point, nor for what cannot be opened.
  std::optional<Dir> try_sub_same_mount(std::string_view name) const;
  /// A directory below, by a relative path of any length, without following any symlink.
  Dir walk(std::string_view relative) const;
  /// Nothing where it is absent, or something on the way is no directory: a symlink, say.
  std::optional<Dir> try_walk(std::string_view relative) const;
  /// As walk, making each missing directory with `mode`.
  Dir make_path(std::string_view relative, mode_t mode) const;

  Fd open_file(std::string_view name, int flags = O_RDONLY, mode_t mode = 0) const;
  std::optional<Fd> try_open_file(std::string_view name, int flags = O_RDONLY) const;
  /// Opens a regular file to read. Nothing if there is none; Error for anything else in its place, a symlink
  /// too. That is found out first: to open a FIFO is to wait for its writer, and a device is set going.
  std::optional<Fd> try_open_regular(std::string_view name, int flags = O_RDONLY) const;
  Fd open_regular(std::string_view name, int flags = O_RDONLY) const;  ///< ENOENT if there is none

  struct stat stat() const;  ///< of the directory itself
  struct stat stat(std::string_view name) const;
  std::optional<struct stat> try_stat(std::string_view name) const;
  bool exists(std::string_view name) const { return try_stat(name).has_value(); }
  std::string read_link(std::string_view name) const;
  /// All entries but "." and "..", in the order of the directory.
  std::vector<DirEntry> list() const;

  /// The whole of a small file; throws Error if it is larger than `limit` bytes or no regular file.
  std::string read(std::string_view name, std::size_t limit = 64 << 20) const;
  std::optional<std::string> try_read(std::string_view name, std::size_t limit = 64 << 20) const;
  /// The same, in half of the calls, of what stat() has just shown to be a regular file, where none but root
  /// can have put a FIFO or a device into its place since: Docker's records, not a layer's content.
  std::string read_seen(std::string_view name, const struct stat& seen, std::size_t limit) const;

  void make_dir(std::string_view name, mode_t mode) const;
  /// Creates (O_EXCL) a file with this content. Not synced.
  void write_new(std::string_view name, std::string_view content, mode_t mode) const;
  /// Replaces a file: temp file, fsync, rename, fsync of the directory. Mode, owner and attributes as given.
  /// The temp file does not stay where this fails.
  void write_atomic(std::string_view name, std::string_view content, mode_t mode, uid_t uid = 0,
                    gid_t gid = 0, const std::vector<Xattr>& xattrs = {}) const;
  /// Whether a name is that of such a temp file.
  static bool is_unfinished(std::string_view name);
  /// Removes the temp file that a write_atomic of this name has left where it was cut short.
  void discard_unfinished(std::string_view name) const;
  void make_symlink(std::string_view name, const std::string& target) const;
  void make_node(std::string_view name, mode_t mode, dev_t device) const;
  void unlink(std::string_view name) const;
  void remove_dir(std::string_view name) const;
  /// Removes `name` with everything below it; nested btrfs subvolumes too, read-only ones as well, and what
  /// chattr's +i or +a protects. Gone already is success. Refuses to cross into another mounted filesystem
  /// (EBUSY).
  void remove_tree(std::string_view name) const;
  /// Empties this directory likewise.
  void clear() const;
  void rename(std::string_view from, const Dir& to_dir, std::string_view to, unsigned flags = 0) const;
  void sync() const;     ///< fsync of the directory
  void sync_fs() const;  ///< syncfs: everything written to this filesystem is durable

  /// Attributes of `name` ("" is the directory itself), symlinks not followed; sorted by name. Filesystems
  /// without attributes give none.
  std::vector<Xattr> xattrs(std::string_view name) const;
  std::optional<std::string> xattr(std::string_view name, const char* attribute) const;
  void set_xattr(std::string_view name, const std::string& attribute, std::string_view value) const;
  void remove_xattr(std::string_view name, const char* attribute) const;

 private:
  std::string name_here(std::string_view name) const;  ///< "." for this directory itself
  std::string proc_path(std::string_view name) const;
  Fd fd_;
  std::string path_;
};

}  // namespace drover
