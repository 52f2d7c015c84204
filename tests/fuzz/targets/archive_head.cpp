// drover/archive.json: what an archive says that it holds.
#include "migrate/archive/archive_head.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(archive_head) {
  ArchiveHead head = parse_head(std::string(input));
  for (const ArchivedImage& image : head.images) promise_one_name(image.id, "an image's ID is one name");
  for (const ArchivedLayer& layer : head.layers)
    promise(is_digest(layer.chain_id) && is_digest(layer.diff_id), "a layer's IDs are digests");
  for (const ArchivedContainer& container : head.containers) {
    promise_one_name(container.id, "a container's ID is one name");
    promise_one_name(container.name, "a container's name is one name");
    promise_shown(container.name, "a container's name is harmless text");
  }
  for (const auto& [path, text] : head.distribution)
    promise(path.find("..") == std::string::npos && !path.starts_with('/'), "a record's path stays inside");
  const std::string text = head_text(head);
  promise_same(head_text(parse_head(text)), text, "what is written is read again");
}
