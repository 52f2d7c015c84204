#pragma once
#include "drivers/sys/dir.hpp"

namespace drover {

/// Throws SystemError that names a file below this directory whose bytes the disk did not take. Most often
/// that shows only when they are written back, long after write(2), and before Linux 5.8 syncfs(2) does not
/// tell of it ("vfs: track per-sb writeback errors and report them to syncfs"); on later ones nothing is
/// done. For what is counted on as written, before the sync_fs() that makes its directories durable: before
/// Linux 4.4 that forgets such an error.
void require_written(const Dir&);

}  // namespace drover
