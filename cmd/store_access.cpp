#include "cmd/store_access.hpp"

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

DriverKind require_driver(const std::string& name) {
  if (const DriverEntry* entry = find_driver(name)) return entry->kind;
  std::string names;
  for (const DriverEntry& entry : driver_table())
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  throw Error(ExitCode::usage, "there is no storage driver `" + printable(name) + "`", "one of " + names);
}

void add_jobs_option(CLI::App& command, unsigned& threads) {
  constexpr unsigned kMostJobs = 256;
  threads = std::clamp(std::thread::hardware_concurrency(), 1U, kMostJobs);
  command.add_option("-j,--jobs", threads, "layers at a time (default: one a processor)")
      ->check(CLI::Range(1U, kMostJobs));
}

}  // namespace drover
