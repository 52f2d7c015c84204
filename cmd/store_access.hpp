#pragma once
#include "cmd/context.hpp"
#include "detect/data_root.hpp"
#include "detect/engine_config.hpp"
#include "drivers/sys/dir.hpp"

namespace CLI {
class App;
class Option;
class Option;
}  // namespace CLI

namespace drover {

/// What a verb that works on a data root starts from: the engine's configuration and where its data root is.
struct StoreAccess {
  EngineConfig config;
  DataRoot root;
};
StoreAccess find_store(const Context&);
/// For a verb that reads layers. Throws Error before anything else if the user is not root.
StoreAccess find_store_as_root(const Context&);

/// A driver by the name that the user gave it. Throws Error (usage) with the names that there are.
DriverKind require_driver(const std::string& name);

/// How many threads a verb uses: as many as there are processors, or as --jobs says.
void add_jobs_option(CLI::App& command, unsigned& threads);

/// Whether devicemapper's layers are read as where the kernel has no device-mapper.
CLI::Option* add_offline_option(CLI::App& command, bool& offline);

}  // namespace drover
