#pragma once
#include <cstdint>
#include <optional>

namespace drover {

/// Opens a path below `dir`. No symlink on it is followed, no ".." leads out of it; O_PATH | O_NOFOLLOW opens
/// one that is last. `same_mount`: nor does it lead into what is mounted there. By openat2, and name by name
/// on kernels before Linux 5.6, which lack it. The descriptor is closed on exec. -1 and errno on failure:
/// ELOOP or ENOTDIR for a symlink, EXDEV for what would lead elsewhere (name by name: for any "..").
int open_beneath(int dir, const char* path, int flags, bool same_mount = false);

/// Which mount an open file is reached through: equal numbers are one mount. By /proc, since the kernel has
/// told statx only since Linux 5.8. Nothing and errno on failure.
std::optional<std::uint64_t> mount_id_of(int fd);

}  // namespace drover
