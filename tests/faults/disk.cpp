// Takes the place of drivers/sys/disk.cpp: the same calls, counted, and stopped or failed as DROVER_FAULT
// says.
#include "drivers/sys/disk.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "tests/faults/fault_plan.hpp"

namespace drover::disk {

namespace {
using faults::Change;

template <class Call>
auto perform(const Change& change, Call call) -> decltype(call()) {
  if (change.error() == 0) return call();
  errno = change.error();
  return -1;
}
}  // namespace

int open(const char* path, int flags, mode_t mode) {
  Change change("open", -1, path);
  return perform(change, [&] { return ::open(path, flags, mode); });
}
int openat(int dir, const char* name, int flags, mode_t mode) {
  Change change("openat", dir, name);
  return perform(change, [&] { return ::openat(dir, name, flags, mode); });
}
int mkdir(const char* path, mode_t mode) {
  Change change("mkdir", -1, path);
  return perform(change, [&] { return ::mkdir(path, mode); });
}
int mkdirat(int dir, const char* name, mode_t mode) {
  Change change("mkdirat", dir, name);
  return perform(change, [&] { return ::mkdirat(dir, name, mode); });
}
int mknodat(int dir, const char* name, mode_t mode, dev_t device) {
  Change change("mknodat", dir, name);
  return perform(change, [&] { return ::mknodat(dir, name, mode, device); });
}
int symlinkat(const char* target, int dir, const char* name) {
  Change change("symlinkat", dir, name);
  return perform(change, [&] { return ::symlinkat(target, dir, name); });
}
int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags) {
  Change change("linkat", to_dir, to);
  return perform(change, [&] { return ::linkat(from_dir, from, to_dir, to, flags); });
}
int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) {
  Change change("renameat2", to_dir, to);
  return perform(change, [&] { return ::renameat2(from_dir, from, to_dir, to, flags); });
}
int unlink(const char* path) {
  Change change("unlink", -1, path);
  return perform(change, [&] { return ::unlink(path); });
}
int unlinkat(int dir, const char* name, int flags) {
  Change change("unlinkat", dir, name);
  return perform(change, [&] { return ::unlinkat(dir, name, flags); });
}
int rmdir(const char* path) {
  Change change("rmdir", -1, path);
  return perform(change, [&] { return ::rmdir(path); });
}
int fchown(int fd, uid_t uid, gid_t gid) {
  Change change("fchown", fd, nullptr);
  return perform(change, [&] { return ::fchown(fd, uid, gid); });
}
int fchownat(int dir, const char* name, uid_t uid, gid_t gid, int flags) {
  Change change("fchownat", dir, name);
  return perform(change, [&] { return ::fchownat(dir, name, uid, gid, flags); });
}
int fchmod(int fd, mode_t mode) {
  Change change("fchmod", fd, nullptr);
  return perform(change, [&] { return ::fchmod(fd, mode); });
}
int fchmodat(int dir, const char* name, mode_t mode, int flags) {
  Change change("fchmodat", dir, name);
  return perform(change, [&] { return ::fchmodat(dir, name, mode, flags); });
}
int utimensat(int dir, const char* name, const timespec times[2], int flags) {
  Change change("utimensat", dir, name);
  return perform(change, [&] { return ::utimensat(dir, name, times, flags); });
}
int lsetxattr(const char* path, const char* attribute, const void* value, std::size_t size, int flags) {
  Change change("lsetxattr", -1, path);
  return perform(change, [&] { return ::lsetxattr(path, attribute, value, size, flags); });
}
int lremovexattr(const char* path, const char* attribute) {
  Change change("lremovexattr", -1, path);
  return perform(change, [&] { return ::lremovexattr(path, attribute); });
}
ssize_t write(int fd, const void* bytes, std::size_t size) {
  Change change("write", fd, nullptr);
  return perform(change, [&] { return ::write(fd, bytes, change.size(size)); });
}
ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t offset) {
  Change change("pwrite", fd, nullptr);
  return perform(change, [&] { return ::pwrite(fd, bytes, change.size(size), offset); });
}
ssize_t copy_file_range(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size) {
  Change change("copy_file_range", to, nullptr);
  return perform(change,
                 [&] { return ::copy_file_range(from, from_offset, to, to_offset, change.size(size), 0); });
}
int ftruncate(int fd, off_t size) {
  Change change("ftruncate", fd, nullptr);
  return perform(change, [&] { return ::ftruncate(fd, size); });
}
int fallocate(int fd, int mode, off_t offset, off_t size) {
  Change change("fallocate", fd, nullptr);
  return perform(change, [&] { return ::fallocate(fd, mode, offset, size); });
}
int ioctl(int fd, unsigned long request, void* argument) {
  Change change("ioctl", fd, nullptr);
  return perform(change, [&] { return ::ioctl(fd, request, argument); });
}
int clone_file(int to, int from) {
  Change change("clone_file", to, nullptr);
  return perform(change, [&] { return ::ioctl(to, FICLONE, from); });
}
int fsync(int fd) {
  Change change("fsync", fd, nullptr);
  return perform(change, [&] { return ::fsync(fd); });
}
int fdatasync(int fd) {
  Change change("fdatasync", fd, nullptr);
  return perform(change, [&] { return ::fdatasync(fd); });
}
int syncfs(int fd) {
  Change change("syncfs", fd, nullptr);
  return perform(change, [&] { return ::syncfs(fd); });
}

}  // namespace drover::disk
