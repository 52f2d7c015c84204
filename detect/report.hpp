#pragma once
#include <optional>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "detect/engine_config.hpp"
#include "detect/other_stores.hpp"
#include "detect/recommend.hpp"
#include "drivers/probe_backing.hpp"

namespace drover {

/// The kernel and what it can mount.
struct HostFacts {
  std::string kernel;                    ///< `uname -r`
  std::vector<std::string> filesystems;  ///< in the kernel now; those without storage of their own left out
  std::vector<std::string> loadable;     ///< as modules of this kernel
};

/// Everything about the host that does not need Docker's records. What could not be found out is said in
/// `troubles`, one line each, and left empty.
struct HostReport {
  HostFacts host;
  EngineConfig config;
  std::optional<EngineVersion> engine;
  std::optional<bool> engine_running;        ///< the lock of the data root is held; nothing: no right to ask
  std::optional<std::string> engine_holder;  ///< by whom, if that can be told
  DataRoot root;
  BackingFilesystem backing;
  CurrentDriver current;
  std::vector<RankedDriver> drivers;  ///< best first, for the general workload
  std::vector<OtherStore> other_stores;
  std::vector<std::string> troubles;
};

/// Looks at all of it. Throws Error only if not even the place of the data root can be looked at.
HostReport make_report(const std::optional<std::string>& data_root,
                       const std::optional<std::string>& config_path);

HostFacts read_host_facts();

/// Adds a line unless it is there.
void add_trouble(std::vector<std::string>& troubles, const std::string& text);

/// A driver's status as `docker info` of this engine shows it.
std::vector<std::pair<std::string, std::string>> status_lines(const Probe&,
                                                              const std::optional<EngineVersion>&);

}  // namespace drover
