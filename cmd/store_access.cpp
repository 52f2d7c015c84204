#include "cmd/store_access.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <thread>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

StoreAccess find_store(const Context& context) {
  StoreAccess access{read_engine_config(context.config), {}};
  access.root = find_data_root(context.data_root, access.config);
  return access;
}

namespace {

/// Overlay's marks are attributes that the kernel shows to none but CAP_SYS_ADMIN of the first user namespace
/// (fs/xattr.c, xattr_permission). Without it a copy would lack them, and so would the source that it is
/// compared with.
void require_trusted_attributes() {
  auto word_after = [](const char* path, std::string_view key) {
    std::ifstream file(path);
    std::string word, rest;
    while (file >> word)
      if (word == key && file >> rest) return rest;
    return std::string();
  };
  constexpr unsigned kSysAdmin = 21;  // CAP_SYS_ADMIN
  std::string capabilities = word_after("/proc/self/status", "CapEff:");
  bool admin = (std::strtoull(capabilities.c_str(), nullptr, 16) >> kSysAdmin & 1) != 0;
  std::ifstream map("/proc/self/uid_map");
  std::uint64_t inside = 1, outside = 1, count = 0;
  map >> inside >> outside >> count;
  bool first_namespace = inside == 0 && outside == 0 && count == 4294967295;
  if (admin && first_namespace) return;
  throw Error(std::string("drover cannot see all that layers hold: ") +
                  (first_namespace ? "it runs without CAP_SYS_ADMIN" : "it runs in a user namespace"),
              "run it as the host's own root: in a container with --privileged, --userns=host and "
              "--pid=host, in a unit without CapabilityBoundingSet or PrivateUsers");
}

}  // namespace

StoreAccess find_store_as_root(const Context& context) {
  if (::geteuid() != 0)
    throw Error("only root can read the layers of an engine's data root, or move them", "run drover as root");
  require_trusted_attributes();
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
