#pragma once

namespace drover {

/// Waits until each dockerd that was started since this process was has ended; at most 15 seconds, then with
/// a warning that names it. For the end of a switch, while the engine's lock is held: an engine reads its
/// configuration long before it asks for the lock (moby daemon/daemon.go: NewDaemon opens the volumes'
/// database after the layer stores, and gives up after a second), and one that has read the old one must not
/// get it.
void outlast_late_engines();

}  // namespace drover
