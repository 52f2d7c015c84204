#include "drivers/sys/btrfs_ioctl.hpp"

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <cstring>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {
template <class Args>
void set_name(Args& args, const std::string& name) {
  if (name.size() >= sizeof args.name) throw_errno("cannot name a subvolume `" + name + "`", ENAMETOOLONG);
  std::memcpy(args.name, name.c_str(), name.size() + 1);
}
}  // namespace

void create_subvolume(const Dir& in, const std::string& name) {
  btrfs_ioctl_vol_args args{};
  set_name(args, name);
  if (disk::ioctl(in.fd(), BTRFS_IOC_SUBVOL_CREATE, &args) != 0)
    throw_errno("cannot create the subvolume `" + in.path_of(name) + "`");
}

void create_snapshot(const Dir& source, const Dir& in, const std::string& name) {
  btrfs_ioctl_vol_args_v2 args{};
  args.fd = source.fd();
  set_name(args, name);
  if (disk::ioctl(in.fd(), BTRFS_IOC_SNAP_CREATE_V2, &args) != 0)
    throw_errno("cannot snapshot `" + source.path() + "` as `" + in.path_of(name) + "`");
}

bool is_subvolume(const Dir& dir) {
  struct statfs fs;
  return dir.stat().st_ino == BTRFS_FIRST_FREE_OBJECTID && ::fstatfs(dir.fd(), &fs) == 0 &&
         fs.f_type == BTRFS_SUPER_MAGIC;
}

void make_writable(const Dir& subvolume) {
  __u64 flags = 0;
  if (::ioctl(subvolume.fd(), BTRFS_IOC_SUBVOL_GETFLAGS, &flags) == 0 && !(flags & BTRFS_SUBVOL_RDONLY))
    return;
  flags &= ~static_cast<__u64>(BTRFS_SUBVOL_RDONLY);
  if (disk::ioctl(subvolume.fd(), BTRFS_IOC_SUBVOL_SETFLAGS, &flags) != 0)
    throw_errno("cannot make the subvolume `" + subvolume.path() + "` writable");
}

bool destroy_subvolume(const Dir& in, const std::string& name) {
  btrfs_ioctl_vol_args args{};
  set_name(args, name);
  if (disk::ioctl(in.fd(), BTRFS_IOC_SNAP_DESTROY, &args) == 0) return true;
  if (errno == EINVAL || errno == ENOTEMPTY || errno == ENOTTY || errno == ENOTDIR || errno == EPERM)
    return false;
  throw_errno("cannot delete the subvolume `" + in.path_of(name) + "`");
}

}  // namespace drover
