#include "drivers/sys/xattr_calls.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

namespace drover {

namespace {

// Of all architectures but alpha (include/uapi/asm-generic/unistd.h); glibc has no names for them yet.
constexpr long kGetXattrAt = 464, kListXattrAt = 465;

/// struct xattr_args (include/uapi/linux/xattr.h).
struct XattrArgs {
  alignas(8) std::uint64_t value;
  std::uint32_t size;
  std::uint32_t flags;
};
static_assert(sizeof(XattrArgs) == 16);

std::string through_proc(int dir, const char* name) {
  return "/proc/self/fd/" + std::to_string(dir) + "/" + name;
}

/// A filter that does not know them may answer with anything: only one that works is used.
bool has_xattrat() {
  return ::syscall(kListXattrAt, AT_FDCWD, "/", AT_SYMLINK_NOFOLLOW, nullptr, std::size_t{0}) >= 0;
}

}  // namespace

bool& uses_xattrat() {
  static bool uses = has_xattrat();
  return uses;
}

ssize_t list_xattrs(int dir, const char* name, char* list, std::size_t size) {
  if (uses_xattrat()) return ::syscall(kListXattrAt, dir, name, AT_SYMLINK_NOFOLLOW, list, size);
  return ::llistxattr(through_proc(dir, name).c_str(), list, size);
}

ssize_t get_xattr(int dir, const char* name, const char* attribute, void* value, std::size_t size) {
  if (!uses_xattrat()) return ::lgetxattr(through_proc(dir, name).c_str(), attribute, value, size);
  XattrArgs arguments{reinterpret_cast<std::uintptr_t>(value), static_cast<std::uint32_t>(size), 0};
  return ::syscall(kGetXattrAt, dir, name, AT_SYMLINK_NOFOLLOW, attribute, &arguments, sizeof arguments);
}

}  // namespace drover
