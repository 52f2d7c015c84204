#pragma once
#include <optional>
#include <string>
#include <vector>

#include "detect/engine_config.hpp"
#include "drivers/driver.hpp"
#include "drivers/sys/fd.hpp"

namespace drover {

/// Where the data root is and how that was found out.
struct DataRoot {
  std::string path;    ///< symlinks resolved, where it exists
  std::string source;  ///< "flag", "daemon.json", "dockerd's command line", "unit ...", "default"
  bool exists = false;
  RootOwner owner;     ///< of a userns-remapped root (`.../<uid>.<gid>`): the mapped root
};

/// Finds it: --data-root, dockerd's command line, daemon.json, /var/lib/docker; with userns-remap configured, the
/// `<uid>.<gid>` folder below if `--data-root` did not name one.
DataRoot find_data_root(const std::optional<std::string>& flag, const EngineConfig&);

/// Why the current driver is that one.
struct CurrentDriver {
  std::optional<DriverKind> kind;  ///< none: empty root, unknown driver, or several priors without a choice
  std::string name;                ///< as configured, also when drover does not know it
  std::string source;              ///< "flag ...", "daemon.json", "prior state on disk", "priority list"
  std::vector<DriverKind> priors;  ///< drivers with a non-empty home, as the engine looks at them (vfs never counts)
  std::vector<DriverKind> homes;   ///< the same, vfs counted
};
CurrentDriver find_current_driver(const DataRoot&, const EngineConfig&);

/// The engine's own lock: a running dockerd holds flock on `<data root>/volumes/metadata.db`.
class EngineLock {
 public:
  /// Takes it, or gives nothing if an engine holds it. The file is created only if the root has none.
  static std::optional<EngineLock> try_take(const std::string& data_root);
  /// As try_take; an engine that holds it is an Error with ExitCode::in_use, naming the units to stop.
  static EngineLock take(const std::string& data_root);
  /// Whether an engine holds it; creates and changes nothing.
  static bool held(const std::string& data_root);

 private:
  explicit EngineLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

/// Which version of dockerd is installed, as major.minor; nothing if none is found or it does not say.
struct EngineVersion {
  int major = 0, minor = 0;
  std::string text;  ///< "20.10.24+dfsg1"
};
std::optional<EngineVersion> installed_engine();

/// The last major version of the engine that has this driver; nothing: all of them to this day.
std::optional<int> last_engine_with(DriverKind);

}  // namespace drover
