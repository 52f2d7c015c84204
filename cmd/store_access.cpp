#include "cmd/store_access.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <thread>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

StoreAccess find_store(const Context& context) {
  StoreAccess access{read_engine_config(context.config), {}};
  access.root = find_data_root(context.data_root, access.config);
  return access;
}

StoreAccess find_store_as_root(const Context& context) {
  if (::geteuid() != 0)
    throw Error("only root can read the layers of an engine's data root, or move them", "run drover as root");
  return find_store(context);
}

DriverKind require_driver(const std::string& name) {
  if (const DriverEntry* entry = find_driver(name)) return entry->kind;
  std::string names;
  for (const DriverEntry& entry : driver_table())
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  throw Error(ExitCode::usage, "there is no storage driver `" + printable(name) + "`", "one of " + names);
}

CLI::Option* add_offline_option(CLI::App& command, bool& offline) {
  return command.add_flag(
      "--offline", offline,
      "devicemapper: read the pool's files without the kernel's device-mapper, by copies");
}

void add_jobs_option(CLI::App& command, unsigned& threads) {
  constexpr unsigned kMostJobs = 256;
  threads = std::clamp(std::thread::hardware_concurrency(), 1U, kMostJobs);
  command.add_option("-j,--jobs", threads, "layers at a time (default: one a processor)")
      ->check(CLI::Range(1U, kMostJobs));
}

}  // namespace drover
