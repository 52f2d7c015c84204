#include "drivers/sys/volume_grow.hpp"

#include <linux/types.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

// fs/ext4/ext4.h; the size in blocks.
constexpr unsigned long kExt4Resize = _IOW('f', 16, __u64);

// fs/xfs/libxfs/xfs_fs.h
struct XfsGeometry {
  __u32 block_size, rt_extent_size, ag_blocks, ag_count, log_blocks, sector_size, inode_size, inode_percent;
  __u64 data_blocks, rt_blocks, rt_extents, log_start;
  unsigned char uuid[16];
  __u32 stripe_unit, stripe_width;
  __s32 version;
  __u32 flags, log_sector_size, rt_sector_size, directory_block_size;
};
struct XfsGrow {
  __u64 blocks;
  __u32 inode_percent;
};
constexpr unsigned long kXfsGeometry = _IOR('X', 100, XfsGeometry), kXfsGrow = _IOW('X', 110, XfsGrow);

void grow_ext4(const Dir& root, std::uint64_t device_bytes) {
  struct statfs fs;
  if (::fstatfs(root.fd(), &fs) != 0) throw_errno("cannot look at the filesystem of " + root.path());
  __u64 blocks = device_bytes / static_cast<std::uint64_t>(fs.f_bsize);
  if (disk::ioctl(root.fd(), kExt4Resize, &blocks) != 0)
    throw_errno("cannot grow the ext4 of " + root.path());
}

void grow_xfs(const Dir& root, std::uint64_t device_bytes) {
  XfsGeometry geometry{};
  if (::ioctl(root.fd(), kXfsGeometry, &geometry) != 0)
    throw_errno("cannot look at the xfs of " + root.path());
  XfsGrow grow{device_bytes / geometry.block_size, geometry.inode_percent};
  if (disk::ioctl(root.fd(), kXfsGrow, &grow) != 0) throw_errno("cannot grow the xfs of " + root.path());
}

}  // namespace

void grow_filesystem(const Dir& root, const std::string& filesystem, std::uint64_t device_bytes) {
  if (filesystem == "xfs")
    grow_xfs(root, device_bytes);
  else
    grow_ext4(root, device_bytes);
}

}  // namespace drover
