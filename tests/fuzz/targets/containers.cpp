// A container's config.v2.json and hostconfig.json.
#include "migrate/store_parts.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(containers) {
  auto part = parts_of(input, 2);
  const std::string id(64, 'c');
  static KeptFolder root;
  const std::string folder = "containers/" + id + "/";
  root.put(folder + "config.v2.json", part[0]);
  if (part[1].empty())
    root.drop(folder + "hostconfig.json");
  else
    root.put(folder + "hostconfig.json", part[1]);
  store::ContainerDb db = store::read_containers(root.dir());
  promise(db.containers.size() + db.damaged.size() == 1, "a container is sound or damaged");
  for (const auto& [found, entry] : db.containers) {
    promise(found == id && entry.record.id == id, "a container has the ID of its folder");
    promise(!entry.record.driver.empty(), "a container has a driver");
    promise(!entry.record.image || is_digest(*entry.record.image), "its image is a digest");
  }
  for (const auto& [found, reason] : db.damaged) promise_shown(reason.why, "the reason is harmless text");
  Inventory inventory = store::assemble(DriverKind::overlay2, {}, {}, std::move(db), nullptr);
  for (const StoreProblem& problem : inventory.problems)
    promise_shown(problem.what, "a problem is one line of harmless text");
}
