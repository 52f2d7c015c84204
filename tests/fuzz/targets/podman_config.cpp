// storage.conf: read, and given another driver.
#include "detect/podman_config.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(podman_config) {
  static KeptFolder root;
  root.put("storage.conf", input);
  PodmanEnvironment environment;
  environment.home = "/root";
  auto read = [&] { return read_podman_config(root.dir().path(), environment, "/storage.conf"); };
  PodmanConfig config = read();
  for (const char* driver : {"vfs", "btrfs"}) {
    std::vector<std::string> removed;
    std::string changed;
    if (refused([&] { changed = podman_config_with_driver(config, driver, &removed); })) continue;
    root.put("storage.conf", changed);
    PodmanConfig now = read();
    promise_same(now.driver.value_or("none"), driver, "the driver is the new one");
    promise_same(now.graph_root, config.graph_root, "the graph root stays");
    removed.clear();
    promise_same(podman_config_with_driver(now, driver, &removed), changed, "again, nothing changes");
    promise(removed.empty(), "nothing is left to be removed");
  }
}
