// What aufs and the old overlay say of the layers below one: aufs's lists of two layers, overlay's
// `lower-id`.
#include "drivers/driver.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

/// A stack that is told begins with the layer and names each layer once.
void check_stack(const Driver& home, const LayerId& top) {
  refused([&] {
    const std::vector<LayerId> stack = home.stack(top);
    promise(stack.front() == top, "a layer is on top of its stack");
    for (std::size_t i = 0; i < stack.size(); ++i) {
      promise_one_name(stack[i], "what a layer stands on is a layer's name");
      for (std::size_t j = 0; j < i; ++j) promise(stack[i] != stack[j], "no layer is in a stack twice");
    }
  });
}

}  // namespace

FUZZ_TARGET(layer_parents) {
  auto part = parts_of(input, 3);
  const LayerId top(64, '1'), below(64, '2');
  static KeptFolder root;
  root.put("aufs/layers/" + top, part[0]);
  root.put("aufs/layers/" + below, part[1]);
  root.put("overlay/" + top + "/upper/file", "");
  root.put("overlay/" + top + "/lower-id", part[2]);
  root.put("overlay/" + below + "/root/file", "");
  const std::string place = root.dir().path();
  auto aufs = driver_entry(DriverKind::aufs).open(place + "/aufs", {});
  for (const LayerId& id : {top, below}) check_stack(*aufs, id);
  check_stack(*driver_entry(DriverKind::overlay).open(place + "/overlay", {}), top);
}
