// Podman's records of images and layers, which are only counted.
#include "detect/other_stores.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(other_stores) {
  auto part = parts_of(input, 2);
  static KeptFolder root;
  root.put("vfs-images/images.json", part[0]);
  root.put("vfs-layers/layers.json", part[1]);
  OtherStore store = count_podman_store(root.dir().path(), "vfs");
  // Each is at least "{},", but for the brackets.
  promise(!store.images || *store.images <= part[0].size() / 3 + 1, "no more images than there is text for");
  promise(!store.layers || *store.layers <= part[1].size() / 3 + 1, "no more layers than there is text for");
}
