// containerd's config.toml: read, and given another snapshotter.
#include "detect/containerd_config.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(containerd_config) {
  static KeptFolder root;
  root.put("config.toml", input);
  ContainerdConfig config = read_containerd_config(root.dir().path(), "/config.toml", 2);
  promise(config.version >= 1 && config.version <= 3, "the version is one that is known");
  promise(!config.root.empty() && !config.snapshotter.empty(), "there is always a root and a snapshotter");
  root.put("config.toml", containerd_config_with_snapshotter(config, "native"));
  ContainerdConfig changed = read_containerd_config(root.dir().path(), "/config.toml", 2);
  promise_same(changed.snapshotter, "native", "the snapshotter is the new one");
  promise(changed.root == config.root && changed.imports == config.imports &&
              changed.set_up == config.set_up && changed.version == config.version &&
              changed.cri_disabled == config.cri_disabled,
          "all else stays");
}
