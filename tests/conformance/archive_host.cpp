#include "tests/conformance/archive_host.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "drivers/clone_tree.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/archive/container_config.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/support/sample_root.hpp"

namespace drover::test {

ArchiveHost::ArchiveHost(const TestFilesystem& filesystem, DriverKind kind,
                         const std::vector<std::string>& storage_opts)
    : kind_(kind), storage_opts_(storage_opts), folder_(filesystem), root_(folder_.path() + "/docker") {
  nlohmann::json config{{"storage-driver", driver_name(kind)}};
  if (!storage_opts.empty()) config["storage-opts"] = storage_opts;
  write_file(beside("daemon.json"), config.dump());
}

/// Layers that lie outside of the folder do not go with it.
ArchiveHost::~ArchiveHost() {
  try {
    auto left = home();
    if (!left->layers_outside() || !exists()) return;
    left->claim(left->layers());
    left->remove_home();
  } catch (const Error& e) {
    log_warning(e.what());
  }
}

Run ArchiveHost::run(std::vector<std::string> words,
                     const std::function<void(const std::string& line)>& on_line) const {
  return run_on(root_, beside("daemon.json"), std::move(words), on_line);
}

std::string ArchiveHost::run_apart(const std::vector<std::string>& words,
                                   const std::function<void(const std::string& line)>& on_line) const {
  return run_apart_on(root_, beside("daemon.json"), words, on_line);
}

bool ArchiveHost::exists() const {
  struct stat st;
  return ::lstat(root_.c_str(), &st) == 0;
}

std::unique_ptr<Driver> ArchiveHost::home() const {
  return driver_entry(kind_).open(path(std::string(driver_name(kind_))), {{}, storage_opts_, false});
}

Inventory ArchiveHost::inventory() const {
  auto driver = home();
  return read_inventory(Dir::open(root_), kind_, driver.get());
}

void ArchiveHost::make_sample() const {
  Dir::open(folder_.path()).make_dir("docker", 0710);
  SampleRoot sample(root_, SampleRoot::Files::overlay2);
  fill_sample_root(sample);
}

void ArchiveHost::remember() const {
  Dir above = Dir::open(folder_.path());
  above.remove_tree("before");
  above.make_dir("before", 0710);
  if (exists()) clone_tree(above.sub("docker"), above.sub("before"), false);
}

std::string ArchiveHost::changes() const {
  Dir above = Dir::open(folder_.path());
  bool had_root = !above.sub("before").list().empty();
  if (!exists()) return had_root ? "the data root is gone\n" : "";
  if (!had_root) return "there is a data root\n";
  // What was made in a folder and removed again shows in its time.
  std::istringstream lines(differences(plain_view(above.sub("before")), Marks::none,
                                       plain_view(above.sub("docker")), Marks::none));
  std::string found;
  for (std::string line; std::getline(lines, line);)
    if (line.find("`: modification time ") == std::string::npos) found += line + "\n";
  return found;
}

std::string ArchiveHost::losses_from(const ArchiveHost& before) const {
  Inventory old = before.inventory(), now = inventory();
  auto old_home = before.home(), new_home = home();
  std::string found;
  auto compare = [&](const std::string& what, const LayerId& a, const LayerId& b) {
    std::string lines =
        differences(View(*old_home, a), old_home->marks(), View(*new_home, b), new_home->marks());
    if (!lines.empty()) found += what + ": " + lines;
  };
  for (const StoreProblem& problem : now.problems) found += problem.what + "\n";
  for (const auto& [chain, layer] : old.layers) {
    auto there = now.layers.find(chain);
    if (there == now.layers.end())
      found += "layer " + short_id(chain) + " is not there\n";
    else
      compare("layer " + short_id(chain), layer.cache_id, there->second.cache_id);
  }
  for (const auto& [id, image] : old.images) {
    auto there = now.images.find(id);
    if (there == now.images.end() || there->second.references != image.references)
      found += "image " + short_id(id) + " is another one\n";
  }
  for (const auto& [id, container] : old.containers) {
    auto there = now.mounts.find(id);
    if (there == now.mounts.end()) {
      found += "container " + container.name + " is not there\n";
      continue;
    }
    const MountRecord& mount = old.mounts.at(id);
    compare("container " + container.name, mount.mount_id, there->second.mount_id);
    if (mount.init_id)
      compare("init layer of " + container.name, *mount.init_id, there->second.init_id.value());
    Dir a = Dir::open(before.path("containers/" + id)), b = Dir::open(path("containers/" + id));
    std::istringstream lines(differences(plain_view(a), Marks::none, plain_view(b), Marks::none));
    for (std::string line; std::getline(lines, line);)
      if (line.find("config.v2.json") == std::string::npos) found += line + "\n";
    if (config_for_home(a.read("config.v2.json"), id, {id, "", root_, kind_}) != b.read("config.v2.json"))
      found += "the configuration of container " + container.name + " is another\n";
  }
  old_home->close();
  new_home->close();
  return found;
}

ArchivedSample::ArchivedSample(const std::string& compress) {
  host.make_sample();
  check_done(host.run({"export", "-o", archive, "--compress", compress}));
}

std::string bytes_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void write_file(const std::string& path, const std::string& bytes) { std::ofstream(path) << bytes; }

}  // namespace drover::test
