#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/fd.hpp"

namespace drover {

/// One line of the mount table (/proc/self/mountinfo).
struct MountEntry {
  std::string target;  ///< mount point
  std::string source;  ///< device or whatever stands there
  std::string root;    ///< which part of the filesystem is mounted
  std::string fstype;
  std::string options;  ///< per mount and filesystem options together
  dev_t device = 0;
};

/// The whole table, in mount order. Throws Error if it cannot be read.
std::vector<MountEntry> read_mounts();

/// The mount that `path` (absolute) lies on: the last one with the longest matching target.
std::optional<MountEntry> mount_of(const std::vector<MountEntry>& mounts, const std::string& path);

/// Whether a name can be renamed from one of them to the other: one filesystem, and one mount of it.
bool on_one_mount(const Dir&, const Dir&);

/// Unmounts; detach = lazily. Throws SystemError.
void unmount(const std::string& target, bool detach = false);

/// Mounts a filesystem nowhere: the mount is seen by nobody else, is reached through this descriptor of its
/// root, and goes when the last descriptor of anything in it is closed, whatever ends the process. No device
/// node in it can be opened, and no program run. `read_only` is of this mount alone; the filesystem itself is
/// mounted for writing unless `options` ("nouuid", "errors=remount-ro") have "ro". `what` names it in
/// messages, "`tank/docker/1f0c`". Throws SystemError.
Fd mount_detached(const std::string& fstype, const std::string& source,
                  const std::vector<std::string>& options, bool read_only, const std::string& what);

/// Whether the kernel has this filesystem, without loading a module for it.
bool kernel_has_filesystem(std::string_view fstype);
/// Whether it has it or, on Linux 5.2 and later, can load its module.
bool kernel_can_mount(const char* fstype);

/// Runs `f` in a child process that has a private mount namespace, so that nothing it mounts is seen outside
/// or outlives it, and gives back the string that f returned. An exception in f arrives as an Error with its
/// text.
std::string in_private_mount_namespace(const std::function<std::string()>& f);

}  // namespace drover
