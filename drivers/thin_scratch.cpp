#include "drivers/thin_scratch.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"

namespace drover {

namespace {

constexpr std::uint64_t kNone = UINT64_MAX;
// Copies that nobody uses at the moment; more than the threads of one run are of little use.
constexpr std::size_t kMostFree = 4;

/// Where `block` lies (kNone: nowhere), and up to where that goes on alike. `at` moves forward.
struct Run {
  std::uint64_t data, end;
};
Run run_at(const std::vector<ThinExtent>& extents, std::size_t& at, std::uint64_t block) {
  while (at < extents.size() && extents[at].begin + extents[at].length <= block) ++at;
  if (at == extents.size()) return {kNone, kNone};
  const ThinExtent& extent = extents[at];
  if (block < extent.begin) return {kNone, extent.begin};
  return {extent.data + (block - extent.begin), extent.begin + extent.length};
}

}  // namespace

std::uint64_t ThinDifference::copied_blocks() const {
  std::uint64_t blocks = 0;
  for (const ThinExtent& extent : copied) blocks += extent.length;
  return blocks;
}

ThinDifference thin_difference(const std::vector<ThinExtent>& from, const std::vector<ThinExtent>& to) {
  ThinDifference difference;
  std::size_t at_from = 0, at_to = 0;
  for (std::uint64_t block = 0;;) {
    Run was = run_at(from, at_from, block), is = run_at(to, at_to, block);
    std::uint64_t end = std::min(was.end, is.end);
    if (end == kNone) return difference;
    if (was.data != is.data) {
      if (is.data == kNone)
        difference.cleared.push_back({block, 0, end - block});
      else
        difference.copied.push_back({block, is.data, end - block});
    }
    block = end;
  }
}

ThinScratch::Copy ThinScratch::take_nearest(const std::vector<ThinExtent>& extents) {
  std::lock_guard lock(mutex_);
  auto cost = [&](const Copy& copy) { return thin_difference(copy.extents, extents).copied_blocks(); };
  auto best = free_.end();
  std::uint64_t least = thin_difference({}, extents).copied_blocks();
  for (auto at = free_.begin(); at != free_.end(); ++at)
    if (std::uint64_t blocks = cost(*at); blocks <= least) {
      least = blocks;
      best = at;
    }
  if (best == free_.end()) {
    // Nothing in common: rather one file less than one more.
    if (free_.size() < kMostFree) return {};
    best = free_.begin();
  }
  Copy copy = std::move(*best);
  free_.erase(best);
  return copy;
}

Fd scratch_file(const std::string& place, std::uint64_t bytes) {
  Fd file(disk::open(place.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file || disk::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0)
    throw_errno("cannot make a scratch file in `" + place + "`");
  return file;
}

ThinScratch::Copy ThinScratch::make(std::vector<ThinExtent> extents, std::uint64_t size_bytes) {
  // Whole blocks, so that a file says exactly what it holds; a filesystem does not mind a device with more
  // room.
  std::uint64_t blocks = (size_bytes + block_bytes_ - 1) / block_bytes_;
  while (!extents.empty() && extents.back().begin >= blocks) extents.pop_back();
  if (!extents.empty())
    extents.back().length = std::min(extents.back().length, blocks - extents.back().begin);
  Copy copy = take_nearest(extents);
  if (!copy.file) copy.file = scratch_file(place_, 0);
  if (disk::ftruncate(copy.file.get(), static_cast<off_t>(blocks * block_bytes_)) != 0)
    throw_errno("cannot make a scratch file in `" + place_ + "`");
  ThinDifference difference = thin_difference(copy.extents, extents);
  for (const ThinExtent& extent : difference.cleared) clear(copy, extent.begin, extent.length);
  for (const ThinExtent& extent : difference.copied) fill(copy, extent.begin, extent.data, extent.length);
  copy.extents = std::move(extents);
  return copy;
}

void ThinScratch::give_back(Copy copy) {
  std::lock_guard lock(mutex_);
  if (free_.size() < kMostFree) free_.push_back(std::move(copy));
}

void ThinScratch::clear(const Copy& copy, std::uint64_t begin, std::uint64_t blocks) const {
  if (disk::fallocate(copy.file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      static_cast<off_t>(begin * block_bytes_),
                      static_cast<off_t>(blocks * block_bytes_)) != 0)
    throw_errno("cannot write a scratch file in `" + place_ + "`");
}

void ThinScratch::fill(const Copy& copy, std::uint64_t begin, std::uint64_t data,
                       std::uint64_t blocks) const {
  file_clone_range range{};
  range.src_fd = data_.get();
  range.src_offset = data * block_bytes_;
  range.src_length = blocks * block_bytes_;
  range.dest_offset = begin * block_bytes_;
  if (disk::ioctl(copy.file.get(), FICLONERANGE, &range) == 0) return;
  auto in = static_cast<off_t>(range.src_offset), out = static_cast<off_t>(range.dest_offset);
  std::uint64_t left = range.src_length;
  bool by_kernel = true;
  constexpr std::size_t kStep = 1 << 20;
  std::unique_ptr<char[]> buffer;
  while (left > 0) {
    check_interrupted();
    if (by_kernel) {
      ssize_t n = disk::copy_file_range(data_.get(), &in, copy.file.get(), &out,
                                        std::min<std::uint64_t>(left, 64 << 20));
      if (n > 0) {
        left -= static_cast<std::uint64_t>(n);
        continue;
      }
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
        throw_errno("cannot write a scratch file in `" + place_ + "`");
      by_kernel = false;  // from a block device, across filesystems, or at the end of the data
    }
    if (!buffer) buffer = std::make_unique<char[]>(kStep);
    ssize_t n = ::pread(data_.get(), buffer.get(), std::min<std::uint64_t>(left, kStep), in);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("cannot read the pool's data");
    if (n == 0)
      throw Error("the pool's data ends before a block that its metadata names", "is the data file whole?");
    for (ssize_t written = 0; written < n;) {
      ssize_t w = disk::pwrite(copy.file.get(), buffer.get() + written, static_cast<std::size_t>(n - written),
                               out + written);
      if (w < 0 && errno == EINTR) continue;
      if (w < 0) throw_errno("cannot write a scratch file in `" + place_ + "`");
      written += w;
    }
    in += n;
    out += n;
    left -= static_cast<std::uint64_t>(n);
  }
}

}  // namespace drover
