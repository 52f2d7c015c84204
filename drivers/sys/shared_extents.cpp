#include "drivers/sys/shared_extents.hpp"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

#include <cstdint>

namespace drover {

namespace {

constexpr unsigned kExtents = 64;  // most files have one
// Whatever else is said of an extent (inline, compressed, not allocated yet) makes its address no proof.
constexpr std::uint32_t kPlain = FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_SHARED | FIEMAP_EXTENT_MERGED;

/// A file's extents one after the other, but those that were never written: they read as holes do.
class Extents {
 public:
  explicit Extents(int file) : file_(file) {}

  /// The next one; nothing at the end, or where failed().
  const fiemap_extent* next() {
    for (;;) {
      if (at_ == head().fm_mapped_extents && (ended_ || !read_more())) return nullptr;
      const fiemap_extent& extent = head().fm_extents[at_++];
      const std::uint64_t end = extent.fe_logical + extent.fe_length;
      failed_ = end <= from_;  // of a damaged filesystem: they would not end
      if (failed_) return nullptr;
      from_ = end;
      ended_ = (extent.fe_flags & FIEMAP_EXTENT_LAST) != 0;
      if (!(extent.fe_flags & FIEMAP_EXTENT_UNWRITTEN)) return &extent;
    }
  }
  bool failed() const { return failed_; }

 private:
  /// Whether there are any.
  bool read_more() {
    head() = {};
    head().fm_start = from_;
    head().fm_length = FIEMAP_MAX_OFFSET - from_;
    head().fm_flags = FIEMAP_FLAG_SYNC;  // what is not written yet has no address
    head().fm_extent_count = kExtents;
    at_ = 0;
    failed_ = ::ioctl(file_, FS_IOC_FIEMAP, room_) != 0 || head().fm_mapped_extents > kExtents;
    if (failed_) head().fm_mapped_extents = 0;
    return head().fm_mapped_extents > 0;
  }
  fiemap& head() { return *reinterpret_cast<fiemap*>(room_); }

  const int file_;
  unsigned at_ = 0;
  std::uint64_t from_ = 0;
  bool ended_ = false, failed_ = false;
  alignas(fiemap) char room_[sizeof(fiemap) + kExtents * sizeof(fiemap_extent)] = {};
};

bool same_place(const fiemap_extent& a, const fiemap_extent& b) {
  return a.fe_logical == b.fe_logical && a.fe_physical == b.fe_physical && a.fe_length == b.fe_length &&
         ((a.fe_flags | b.fe_flags) & ~kPlain) == 0 && (a.fe_flags & b.fe_flags & FIEMAP_EXTENT_SHARED) != 0;
}

}  // namespace

/// Of these two it is known that an address is one place, however many devices there are.
bool SharedExtents::shares(int file, dev_t filesystem) {
  if (known_ && known_->first == filesystem) return known_->second;
  struct statfs fs;
  const bool shares =
      ::fstatfs(file, &fs) == 0 && (fs.f_type == XFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC);
  known_ = {filesystem, shares};
  return shares;
}

bool SharedExtents::same(int a, const struct stat& st_a, int b, const struct stat& st_b) {
  if (st_a.st_dev != st_b.st_dev || st_a.st_size != st_b.st_size || !shares(a, st_a.st_dev)) return false;
  Extents of_a(a), of_b(b);
  for (;;) {
    const fiemap_extent *one = of_a.next(), *other = of_b.next();
    if (!one || !other) return one == other && !of_a.failed() && !of_b.failed();
    if (!same_place(*one, *other)) return false;
  }
}

}  // namespace drover
