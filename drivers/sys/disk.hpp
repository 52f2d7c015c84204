#pragma once
#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>

/// Every system call of drover's that changes what is on a disk goes through here, and nothing else does:
/// each is the kernel's own call of that name, with its arguments, answer and errno. The crash tests link
/// another object in its place (tests/faults/disk.cpp), which counts the changes, stops at one or makes it
/// fail; so nothing of the tests is in a release. A unit test refuses these calls anywhere else.
///
/// What the kernel or another program does for drover is not here: mounts and loop devices, device-mapper's
/// messages, and the programs that drivers/sys/process.hpp runs.
namespace drover::disk {

/// Opens a file that it may make or cut: for O_CREAT, O_TRUNC and O_TMPFILE.
int open(const char* path, int flags, mode_t mode);
int openat(int dir, const char* name, int flags, mode_t mode);

int mkdir(const char* path, mode_t mode);
int mkdirat(int dir, const char* name, mode_t mode);
int mknodat(int dir, const char* name, mode_t mode, dev_t device);
int symlinkat(const char* target, int dir, const char* name);
int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags);
int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags);
int unlink(const char* path);
int unlinkat(int dir, const char* name, int flags);
int rmdir(const char* path);

int fchown(int fd, uid_t uid, gid_t gid);
int fchownat(int dir, const char* name, uid_t uid, gid_t gid, int flags);
int fchmod(int fd, mode_t mode);
int fchmodat(int dir, const char* name, mode_t mode, int flags);
int utimensat(int dir, const char* name, const timespec times[2], int flags);
int lsetxattr(const char* path, const char* attribute, const void* value, std::size_t size, int flags);
int lremovexattr(const char* path, const char* attribute);

ssize_t write(int fd, const void* bytes, std::size_t size);
ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t offset);
ssize_t copy_file_range(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size);
int ftruncate(int fd, off_t size);
int fallocate(int fd, int mode, off_t offset, off_t size);
/// Those that change something: clones of files, subvolumes, the flags of an inode, the size of a filesystem.
int ioctl(int fd, unsigned long request, void* argument);
int clone_file(int to, int from);  ///< FICLONE, whose argument is no address

int fsync(int fd);
int fdatasync(int fd);
int syncfs(int fd);

}  // namespace drover::disk
