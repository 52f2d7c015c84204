#pragma once
#include <chrono>

namespace drover {

/// Waits until each dockerd that was started since this process was has ended, or has opened the lock file of
/// a data root that is not locked here; at most `most`, then with a warning that names it, and false. For
/// the end of a switch, while the engine's lock is held: an engine reads its configuration long before it
/// asks for the lock (moby daemon/daemon.go: NewDaemon opens the volumes' database after the layer stores,
/// and gives up after a second), and one that has read the old one must not get it.
bool outlast_late_engines(std::chrono::milliseconds most = std::chrono::seconds(15));

}  // namespace drover
