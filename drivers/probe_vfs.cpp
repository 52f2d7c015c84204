// vfs: each layer a full copy of its parent, on any filesystem that can be written.
#include "drivers/probe_backing.hpp"
#include "drivers/probe_scratch.hpp"
#include "drivers/probes.hpp"

namespace drover {

Probe probe_vfs(const std::string& data_root, const StorageOpts&) {
  std::string place = probe_place(data_root, "vfs");
  return guarded_probe(place, [&] {
    Scratch scratch(place);
    std::string evidence = "made a directory and files in `" + place + "`";
    if (can_reflink(scratch.dir()))
      return usable_with_limits(
          "each layer is a full tree; the filesystem's reflinks make the copies cheap on disk, "
          "but containers share no page cache",
          evidence + "; FICLONE works");
    return usable_with_limits(
        "each layer is a full copy of its parent: slow, and it takes many times the space",
        evidence + "; FICLONE does not work");
  });
}

}  // namespace drover
