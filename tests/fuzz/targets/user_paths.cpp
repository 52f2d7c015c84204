// Records that hold users' paths: a container's, a volume's and a plugin's.
#include "detect/json_edit.hpp"
#include "migrate/root_paths.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(user_paths) {
  auto part = parts_of(input, 3);
  Dir root = empty_folder();
  put_file(root.make_path("containers/" + std::string(64, 'c'), 0700), "config.v2.json", part[0]);
  put_file(root.make_path("volumes/data", 0700), "opts.json", part[1]);
  put_file(root.make_path("plugins/" + std::string(64, 'e'), 0700), "config.json", part[2]);
  for (const UserPath& path : user_paths_into(root, "/old")) {
    promise(path.path.starts_with("/old"), "a path leads into the root");
    promise_shown(path.path, "a path is one line of harmless text");
    promise_shown(path.of, "whose it is is one line of harmless text");
  }
  const std::string moved = moved_plugin_config(part[2], "/old", "/new");
  promise_same(moved_plugin_config(moved, "/old", "/new"), moved, "moved again, nothing changes");
}
