#include "drivers/sys/disk.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>  // renameat2

namespace drover::disk {

int open(const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); }
int openat(int dir, const char* name, int flags, mode_t mode) { return ::openat(dir, name, flags, mode); }
int mkdir(const char* path, mode_t mode) { return ::mkdir(path, mode); }
int mkdirat(int dir, const char* name, mode_t mode) { return ::mkdirat(dir, name, mode); }
int mknodat(int dir, const char* name, mode_t mode, dev_t device) {
  return ::mknodat(dir, name, mode, device);
}
int symlinkat(const char* target, int dir, const char* name) { return ::symlinkat(target, dir, name); }
int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags) {
  return ::linkat(from_dir, from, to_dir, to, flags);
}
int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) {
  return ::renameat2(from_dir, from, to_dir, to, flags);
}
int unlink(const char* path) { return ::unlink(path); }
int unlinkat(int dir, const char* name, int flags) { return ::unlinkat(dir, name, flags); }
int rmdir(const char* path) { return ::rmdir(path); }
int fchown(int fd, uid_t uid, gid_t gid) { return ::fchown(fd, uid, gid); }
int fchownat(int dir, const char* name, uid_t uid, gid_t gid, int flags) {
  return ::fchownat(dir, name, uid, gid, flags);
}
int fchmod(int fd, mode_t mode) { return ::fchmod(fd, mode); }
int fchmodat(int dir, const char* name, mode_t mode, int flags) { return ::fchmodat(dir, name, mode, flags); }
int utimensat(int dir, const char* name, const timespec times[2], int flags) {
  return ::utimensat(dir, name, times, flags);
}
int lsetxattr(const char* path, const char* attribute, const void* value, std::size_t size, int flags) {
  return ::lsetxattr(path, attribute, value, size, flags);
}
int lremovexattr(const char* path, const char* attribute) { return ::lremovexattr(path, attribute); }
ssize_t write(int fd, const void* bytes, std::size_t size) { return ::write(fd, bytes, size); }
ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t offset) {
  return ::pwrite(fd, bytes, size, offset);
}
ssize_t copy_file_range(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size) {
  return ::copy_file_range(from, from_offset, to, to_offset, size, 0);
}
int ftruncate(int fd, off_t size) { return ::ftruncate(fd, size); }
int fallocate(int fd, int mode, off_t offset, off_t size) { return ::fallocate(fd, mode, offset, size); }
int ioctl(int fd, unsigned long request, void* argument) { return ::ioctl(fd, request, argument); }
int clone_file(int to, int from) { return ::ioctl(to, FICLONE, from); }
int fsync(int fd) { return ::fsync(fd); }
int fdatasync(int fd) { return ::fdatasync(fd); }
int syncfs(int fd) { return ::syncfs(fd); }

}  // namespace drover::disk
