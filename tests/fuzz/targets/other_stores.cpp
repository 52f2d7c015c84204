// Podman's records of images and layers, which are only counted.
#include "detect/other_stores.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(other_stores) {
  auto part = parts_of(input, 2);
  Dir root = empty_folder();
  put_file(root.make_path("vfs-images", 0700), "images.json", part[0]);
  put_file(root.make_path("vfs-layers", 0700), "layers.json", part[1]);
  OtherStore store = count_podman_store(root.path(), "vfs");
  // Each is at least "{},", but for the brackets.
  promise(!store.images || *store.images <= part[0].size() / 3 + 1, "no more images than there is text for");
  promise(!store.layers || *store.layers <= part[1].size() / 3 + 1, "no more layers than there is text for");
}
