// Records that hold users' paths: a container's, a volume's and a plugin's.
#include "detect/json_edit.hpp"
#include "migrate/root_paths.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(user_paths) {
  auto part = parts_of(input, 3);
  static KeptFolder root;
  root.put("containers/" + std::string(64, 'c') + "/config.v2.json", part[0]);
  root.put("volumes/data/opts.json", part[1]);
  root.put("plugins/" + std::string(64, 'e') + "/config.json", part[2]);
  for (const UserPath& path : user_paths_into(root.dir(), "/old")) {
    promise(path.path.starts_with("/old"), "a path leads into the root");
    promise_shown(path.path, "a path is one line of harmless text");
    promise_shown(path.of, "whose it is is one line of harmless text");
  }
  const std::string moved = moved_plugin_config(part[2], "/old", "/new");
  promise_same(moved_plugin_config(moved, "/old", "/new"), moved, "moved again, nothing changes");
}
