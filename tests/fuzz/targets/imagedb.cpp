// An image's configuration and repositories.json; "@" in the latter stands for the image's ID.
#include <algorithm>

#include "drivers/sys/sha256.hpp"
#include "migrate/find_by_name.hpp"
#include "migrate/store_parts.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(imagedb) {
  auto part = parts_of(input, 2);
  const Digest id = sha256_hex(part[0]);
  std::string repositories = part[1];
  constexpr std::string_view kId = "@ID@";
  for (std::size_t at = 0; (at = repositories.find(kId, at)) != std::string::npos; at += id.size())
    repositories.replace(at, kId.size(), id);
  static KeptFolder root;
  static std::string configuration;  // of the run before
  root.drop(configuration);
  root.put(configuration = "imagedb/content/sha256/" + id, part[0]);
  if (repositories.empty())
    root.drop("repositories.json");
  else
    root.put("repositories.json", repositories);
  store::ImageDb db = store::read_imagedb(root.dir());
  promise(db.images.size() + db.damaged_images.size() == 1, "an image is sound or damaged");
  for (const auto& [image_id, image] : db.images) {
    promise(std::all_of(image.diff_ids.begin(), image.diff_ids.end(), is_digest), "diff IDs are digests");
    const auto& chain = db.chains.at(image_id);
    promise(chain.size() == image.diff_ids.size() && image.top.has_value() == !chain.empty(),
            "each diff ID has a chain ID");
    promise(image.references == db.references[image_id], "an image has the references that are recorded");
    promise(!display_name(image).empty(), "an image can be called something");
  }
  for (const auto& [image_id, references] : db.references)
    promise(is_digest(image_id), "a tag leads to a digest");
  for (const auto& [image_id, reason] : db.damaged_images)
    promise_shown(reason.why, "the reason is one line of harmless text");
  if (db.bad_repositories) promise_shown(db.bad_repositories->why, "the reason is one line of harmless text");
  Inventory inventory = store::assemble(DriverKind::overlay2, {}, std::move(db), {}, nullptr);
  for (const StoreProblem& problem : inventory.problems) {
    promise_shown(problem.what, "a problem is one line of harmless text");
  }
  refused([&] { find_subject(inventory, "app:1"); });
}
