#include "drivers/sys/copy_content.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"

namespace drover {

namespace {

constexpr std::size_t kBlock = 256 << 10;

[[noreturn]] void fail(const char* verb, const char* what) {
  throw_errno(std::string("cannot ") + verb + " `" + what + "`");
}

/// Fewer than `size` bytes only at the end of the file; negative for an error (errno).
ssize_t read_up_to(int fd, char* block, std::size_t size, off_t offset) {
  std::size_t have = 0;
  while (have < size) {
    ssize_t n = ::pread(fd, block + have, size - have, offset + static_cast<off_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return n;
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(have);
}

std::size_t read_block(const OpenContent& from, char* block, std::size_t size, off_t offset) {
  ssize_t n = read_up_to(from.file.get(), block, size, offset);
  if (n < 0) fail("read", from.dir.path_of(from.name).c_str());
  return static_cast<std::size_t>(n);
}

void write_block(int fd, const char* block, std::size_t size, off_t offset, const char* what) {
  while (size > 0) {
    ssize_t n = disk::pwrite(fd, block, size, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write the copy of", what);
    block += n;
    offset += n;
    size -= static_cast<std::size_t>(n);
  }
}

/// Copies [begin, end), by the kernel as long as it agrees.
void copy_range(int from, int to, off_t begin, off_t end, bool& by_kernel, const char* what) {
  std::unique_ptr<char[]> block;
  while (begin < end) {
    check_interrupted();
    auto left = static_cast<std::size_t>(end - begin);
    if (by_kernel) {
      loff_t in = begin, out = begin;
      ssize_t n = disk::copy_file_range(from, &in, to, &out, std::min<std::size_t>(left, 64 << 20));
      if (n > 0) {
        begin += n;
        continue;
      }
      // Across filesystems, on old kernels, or answered with 0 before the end: go on by hand.
      if (n < 0 && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS &&
          errno != EINTR)
        fail("copy", what);
      if (n < 0 && errno == EINTR) continue;
      by_kernel = false;
    }
    if (!block) block = std::make_unique_for_overwrite<char[]>(kBlock);
    ssize_t n = read_up_to(from, block.get(), std::min(left, kBlock), begin);
    if (n < 0) fail("read", what);
    if (n == 0) throw Error(std::string("cannot copy `") + what + "`: it became shorter while it was read");
    write_block(to, block.get(), static_cast<std::size_t>(n), begin, what);
    begin += n;
  }
}

}  // namespace

ContentCopy copy_content(int from, int to, std::uint64_t size, const char* what, bool& may_clone) {
  if (size == 0) return ContentCopy::copied;
  if (may_clone) {
    if (disk::clone_file(to, from) == 0) return ContentCopy::reflink;
    if (errno == ENOSPC || errno == EDQUOT || errno == EIO) fail("copy", what);
    // Other errors can be this file's own (a swap file, an inode without checksums on btrfs).
    if (errno == EOPNOTSUPP || errno == ENOTTY || errno == EXDEV) may_clone = false;
  }
  auto length = static_cast<off_t>(size);
  bool by_kernel = true;
  off_t written = 0;
  for (off_t at = 0; at < length;) {
    off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // only a hole is left
    off_t hole = data < 0 ? -1 : ::lseek(from, data, SEEK_HOLE);
    if (data < 0 || hole < 0) {  // a filesystem that knows no holes
      data = at;
      hole = length;
    }
    written = std::min(hole, length);
    copy_range(from, to, data, written, by_kernel, what);
    at = hole;
  }
  // A hole at the end is not made by writing.
  if (written < length && disk::ftruncate(to, length) != 0) fail("write the copy of", what);
  return ContentCopy::copied;
}

OpenContent open_content(const Dir& dir, std::string_view name) {
  return {dir, name, dir.open_regular(name, O_RDONLY | O_NOATIME)};
}

bool same_content(const OpenContent& a, const OpenContent& b) {
  auto block_a = std::make_unique_for_overwrite<char[]>(kBlock);
  auto block_b = std::make_unique_for_overwrite<char[]>(kBlock);
  for (off_t at = 0;; at += kBlock) {
    check_interrupted();
    std::size_t na = read_block(a, block_a.get(), kBlock, at);
    std::size_t nb = read_block(b, block_b.get(), kBlock, at);
    if (na != nb || std::memcmp(block_a.get(), block_b.get(), na) != 0) return false;
    if (na < kBlock) return true;
  }
}

std::uint64_t differing_blocks(const OpenContent& a, const OpenContent& b, std::uint64_t most) {
  static_assert(kBlock % kContentBlock == 0);
  auto block_a = std::make_unique_for_overwrite<char[]>(kBlock);
  auto block_b = std::make_unique_for_overwrite<char[]>(kBlock);
  std::uint64_t differing = 0;
  for (off_t at = 0; differing <= most; at += kBlock) {
    check_interrupted();
    std::size_t na = read_block(a, block_a.get(), kBlock, at);
    std::size_t nb = read_block(b, block_b.get(), kBlock, at);
    for (std::size_t from = 0; from < na; from += kContentBlock) {
      std::size_t length = std::min<std::size_t>(kContentBlock, na - from);
      if (from + length > nb || std::memcmp(&block_a[from], &block_b[from], length) != 0) ++differing;
    }
    if (na < kBlock) break;
  }
  return differing;
}

}  // namespace drover
