// What says how dockerd runs on a host: daemon.json, the unit and a drop-in, /etc/default/docker, a process's
// command line and environment (words by lines).
#include <sys/stat.h>

#include <algorithm>

#include "detect/data_root.hpp"
#include "detect/engine_config.hpp"
#include "detect/systemd_unit.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(host_config) {
  auto part = parts_of(input, 6);
  static KeptFolder root;
  root.put("etc/docker/daemon.json", part[0]);
  root.put("etc/systemd/system/docker.service", part[1]);
  root.put("etc/systemd/system/docker.service.d/a.conf", part[2]);
  root.put("etc/default/docker", part[3]);
  for (std::size_t i : {4, 5}) std::replace(part[i].begin(), part[i].end(), '\n', '\0');
  root.put("proc/7/cmdline", part[4]);
  root.put("proc/7/environ", part[5]);
  ServiceCommand service = read_service(root.dir().path(), "docker.service");
  for (const OriginWord& word : service.words) promise(!word.origin.empty(), "each word comes from a file");
  split_words(part[3]);
  parse_environment_file(part[3], "/etc/default/docker");
  EngineConfig config = read_engine_config_below(root.dir().path(), std::nullopt);
  for (const EngineConfig::Flag& flag : config.flags) {
    promise(flag.name == "storage-driver" || flag.name == "storage-opt" || flag.name == "data-root" ||
                flag.name == "userns-remap",
            "flags are those of storage");
    promise_shown(flag.where, "where a flag was found is one line of harmless text");
  }
  refused([&] { refuse_flags_in_the_way(config, "overlay2", config.config_text); });
  storage_opts_in_force(config);
}
