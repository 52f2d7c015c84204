#include "detect/report.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "detect/program_version.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

/// Of the kinds that stand on no block device, those that can carry a data root or a layer.
const std::set<std::string>& kept_without_device() {
  static const std::set<std::string> kinds = {"9p",       "aufs",  "bcachefs", "btrfs",    "ceph",  "cifs",
                                              "ecryptfs", "fuse",  "nfs",      "nfs4",     "ntfs3", "overlay",
                                              "smb3",     "tmpfs", "ubifs",    "virtiofs", "zfs"};
  return kinds;
}

std::vector<std::string> kernel_filesystems() {
  std::set<std::string> kinds;
  std::ifstream list("/proc/filesystems");
  for (std::string line; std::getline(list, line);) {
    std::size_t tab = line.find('\t');
    if (tab == std::string::npos) continue;
    std::string kind = line.substr(tab + 1);
    if (tab == 0 || kept_without_device().contains(kind)) kinds.insert(kind);
  }
  return {kinds.begin(), kinds.end()};
}

/// "kernel/fs/xfs/xfs.ko.xz: ..." is a module of xfs; other modules below fs/ are helpers.
std::vector<std::string> module_filesystems(const std::string& kernel,
                                            const std::vector<std::string>& present) {
  std::set<std::string> kinds;
  std::ifstream list("/lib/modules/" + kernel + "/modules.dep");
  for (std::string line; std::getline(list, line);) {
    std::string path = line.substr(0, line.find(':'));
    std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) continue;
    std::string module = path.substr(slash + 1, path.find(".ko", slash) - slash - 1);
    bool of_its_folder =
        path.substr(0, slash).ends_with("/" + module) || path.find("/fs/" + module + "fs/") != path.npos;
    if (path.find("fs/") == path.npos || !of_its_folder) continue;
    if (std::find(present.begin(), present.end(), module) == present.end()) kinds.insert(module);
  }
  return {kinds.begin(), kinds.end()};
}

/// Runs one part of the report; what goes wrong is told once, not fatal.
template <class F>
void part(HostReport& report, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    add_trouble(report.troubles, e.what());
  }
}

void look_at_config(HostReport& report, const std::optional<std::string>& config_path) {
  try {
    report.config = read_engine_config(config_path);
  } catch (const Error& e) {
    report.config.config_path = config_path.value_or("/etc/docker/daemon.json");
    report.config.config_exists = true;
    add_trouble(report.troubles, e.what());
  }
}

std::vector<std::pair<DriverKind, Probe>> probe_drivers(const HostReport& report) {
  std::vector<std::pair<DriverKind, Probe>> probes;
  std::vector<std::string> options = storage_opts_in_force(report.config);
  for (const auto& entry : driver_table())
    probes.emplace_back(entry.kind, entry.probe(report.root.path, options));
  return probes;
}

}  // namespace

void add_trouble(std::vector<std::string>& troubles, const std::string& text) {
  if (std::find(troubles.begin(), troubles.end(), text) == troubles.end()) troubles.push_back(text);
}

HostFacts read_host_facts() {
  HostFacts facts;
  struct utsname name;
  if (::uname(&name) == 0) facts.kernel = name.release;
  facts.filesystems = kernel_filesystems();
  facts.loadable = module_filesystems(facts.kernel, facts.filesystems);
  return facts;
}

HostReport make_report(const std::optional<std::string>& data_root,
                       const std::optional<std::string>& config_path) {
  HostReport report;
  for (const char* program : {"dockerd", "containerd"}) ask_version_of(program);
  report.host = read_host_facts();
  look_at_config(report, config_path);
  report.root = find_data_root(data_root, report.config);
  report.backing = probe_backing(report.root.path);
  part(report, [&] {
    report.engine_running = EngineLock::held(report.root.path);
    if (*report.engine_running) report.engine_holder = EngineLock::holder(report.root.path);
  });
  auto probes = probe_drivers(report);
  report.engine = installed_engine();
  report.drivers = rank_drivers(probes, Workload::general, report.engine);
  part(report, [&] { report.current = find_current_driver(report.root, report.config, report.engine); });
  part(report, [&] { report.other_stores = find_other_stores(report.root.path, report.troubles); });
  return report;
}

std::vector<std::pair<std::string, std::string>> status_lines(const Probe& probe,
                                                              const std::optional<EngineVersion>& engine) {
  auto lines = probe.status;
  if (engine && engine->major < 24)
    std::erase_if(lines, [](const auto& line) { return line.first == "Using metacopy"; });
  return lines;
}

}  // namespace drover
