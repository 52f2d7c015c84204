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
  std::string path;  ///< symlinks resolved, where it exists
  /// "flag --data-root", the path of daemon.json, "running dockerd (pid 7)", "unit docker.service ...",
  /// "default"
  std::string source;
  bool exists = false;
  RootOwner owner;  ///< of a userns-remapped root (`.../<uid>.<gid>`): the mapped root
};

/// Finds it: --data-root, dockerd's command line, daemon.json, /var/lib/docker; with userns-remap configured,
/// the
/// `<uid>.<gid>` folder below if `--data-root` did not name one.
DataRoot find_data_root(const std::optional<std::string>& flag, const EngineConfig&);

/// Which version of dockerd is installed, as major.minor; nothing if none is found or it does not say.
struct EngineVersion {
  int major = 0, minor = 0;
  std::string text;  ///< "20.10.24+dfsg1"
};
std::optional<EngineVersion> installed_engine();
/// From what `dockerd --version` prints.
std::optional<EngineVersion> parse_engine_version(const std::string& text);

/// The last major version of the engine that has this driver; nothing: all of them to this day.
std::optional<int> last_engine_with(DriverKind);
/// The drivers that an engine has, in the order in which it looks for them; nothing known: a current one's.
std::vector<DriverKind> priority_list(const std::optional<EngineVersion>&);

/// Why the current driver is that one.
struct CurrentDriver {
  /// None: an unknown driver, several priors without a choice, or containerd. For an empty root: what the
  /// engine's priority list would choose.
  std::optional<DriverKind> kind;
  std::string name;  ///< as configured, also when drover does not know it; under containerd the snapshotter
  std::string
      source;  ///< the flag's place, the path of daemon.json, "prior state on disk", "priority list: ..."
  bool containerd = false;  ///< the engine keeps images in containerd's store, not in the data root
  std::vector<DriverKind>
      priors;  ///< drivers with a non-empty home, as this engine looks at them (vfs never counts)
  std::vector<DriverKind> homes;  ///< all drivers with a non-empty home
};
/// Throws SystemError if the data root cannot be read.
CurrentDriver find_current_driver(const DataRoot&, const EngineConfig&);
/// The same for an engine of this version; none: taken for a current one.
CurrentDriver find_current_driver(const DataRoot&, const EngineConfig&, const std::optional<EngineVersion>&);

/// The engine's own lock: a running dockerd holds flock on `<data root>/volumes/metadata.db`.
class EngineLock {
 public:
  /// Takes it, or gives nothing if an engine holds it. The file is created only if the root has none; the
  /// engine takes an empty one for a new database.
  static std::optional<EngineLock> try_take(const std::string& data_root);
  /// As try_take; an engine that holds it is an Error with ExitCode::in_use, naming the units to stop.
  static EngineLock take(const std::string& data_root);
  /// Whether an engine (or another drover) holds it; creates and changes nothing.
  static bool held(const std::string& data_root);
  /// Who holds it: "dockerd (pid 7)"; nothing if nobody does or it cannot be told.
  static std::optional<std::string> holder(const std::string& data_root);

 private:
  explicit EngineLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace drover
