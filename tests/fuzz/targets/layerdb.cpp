// The records of an image layer (diff, parent, cache-id, size) and of a container's (mount-id, init-id,
// parent).
#include "drivers/sys/error.hpp"
#include "migrate/store_parts.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

void put_unless_empty(KeptFolder& folder, const std::string& path, const std::string& text) {
  if (text.empty())
    folder.drop(path);
  else
    folder.put(path, text);
}

void check_reasons(const store::Reasons& reasons) {
  for (const auto& [id, reason] : reasons) {
    promise(!reason.why.empty(), "damage has a reason");
    promise_shown(reason.why, "the reason is one line of harmless text");
    promise_shown(reason.fix, "what to do is one line of harmless text");
  }
}

}  // namespace

FUZZ_TARGET(layerdb) {
  auto part = parts_of(input, 7);
  static KeptFolder root;
  const Digest chain(64, 'a'), container(64, 'c');
  const std::string layer = "layerdb/sha256/" + chain, mount = "layerdb/mounts/" + container;
  static const Dir layer_dir = root.dir().make_path(layer, 0700),
                   mount_dir = root.dir().make_path(mount, 0700);
  put_unless_empty(root, layer + "/diff", part[0]);
  put_unless_empty(root, layer + "/parent", part[1]);
  put_unless_empty(root, layer + "/cache-id", part[2]);
  put_unless_empty(root, layer + "/size", part[3]);
  put_unless_empty(root, mount + "/mount-id", part[4]);
  put_unless_empty(root, mount + "/init-id", part[5]);
  put_unless_empty(root, mount + "/parent", part[6]);
  store::LayerDb db = store::read_layerdb(root.dir());
  promise(db.layers.size() + db.damaged_layers.size() == 1, "a layer is sound or damaged");
  promise(db.mounts.size() + db.damaged_mounts.size() == 1, "a mount is sound or damaged");
  for (const auto& [id, record] : db.layers) {
    promise(is_digest(record.diff_id) && (!record.parent || is_digest(*record.parent)),
            "digests are digests");
    promise(is_layer_id(record.cache_id) && record.size_bytes <= INT64_MAX, "cache ID and size are sound");
    promise_one_name(record.cache_id, "a cache ID is one name");
  }
  for (const auto& [id, record] : db.mounts) {
    promise_one_name(record.mount_id, "a mount ID is one name");
    if (record.init_id) promise_one_name(*record.init_id, "an init ID is one name");
    promise(!record.parent || is_digest(*record.parent), "a parent is a digest");
  }
  check_reasons(db.damaged_layers);
  check_reasons(db.damaged_mounts);
  Inventory inventory = store::assemble(DriverKind::overlay2, db, {}, {}, nullptr);
  for (const StoreProblem& problem : inventory.problems)
    promise_shown(problem.what, "a problem is one line of harmless text");
}
