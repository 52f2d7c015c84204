#pragma once
#include <string>
#include <vector>

#include "detect/engine_config.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// One way in which dockerd runs or would be started on this host.
struct DockerdCommand {
  std::string config_path;  ///< the configuration file that it reads
  std::vector<EngineConfig::Flag> flags;
  bool running = false;
  bool by_unit = false;  ///< the unit docker.service, or a process of it
};

/// All of them, below `root`: running engines, the unit docker.service with its drop-ins, and, without such a
/// unit, DOCKER_OPTS in /etc/default/docker. Engines in containers are not of this host.
std::vector<DockerdCommand> find_dockerd_commands(const std::string& root);

/// Whether a process, given by its folder in /proc, is an engine: `dockerd`, or `docker daemon` and `docker
/// -d` as before Docker 1.12 and 1.8 (moby CHANGELOG.md). One that has ended is none.
bool is_engine_process(const Dir& process);

/// Where an engine reads its configuration if its command line does not say: the system's, or a user's own.
std::string default_config_path(bool rootless, const std::string& home, const std::string& xdg_config_home);

}  // namespace drover
