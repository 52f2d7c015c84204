#pragma once
#include <sys/types.h>

#include <cstddef>

namespace drover {

/// Reading the extended attributes of a name in a directory, "." the directory itself, without following a
/// symlink. As listxattr(2) and getxattr(2): -1 with errno. By listxattrat and getxattrat where the kernel
/// has them (6.13); else by a path through /proc, which takes four times as long.
ssize_t list_xattrs(int dir, const char* name, char* list, std::size_t size);
ssize_t get_xattr(int dir, const char* name, const char* attribute, void* value, std::size_t size);

/// Whether the former is done. Found out at the first call; settable for tests of the latter.
bool& uses_xattrat();

}  // namespace drover
