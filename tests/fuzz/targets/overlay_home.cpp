// overlay2's own files of a layer: lower, link, and where a short name leads.
#include "drivers/overlay_home.hpp"

#include <unistd.h>

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(overlay_home) {
  auto part = parts_of(input, 3);
  Dir home = empty_folder();
  const LayerId top(64, '1'), below(64, '2'), made(64, '3');
  Dir layer = home.make_path(top, 0700), links = home.make_path("l", 0700);
  home.make_path(top + "/diff", 0700);
  home.make_path(below + "/diff", 0700);
  put_file(layer, "lower", part[0]);
  put_file(layer, "link", part[1]);
  links.make_symlink(std::string(26, 'A'), "../" + below + "/diff");
  const std::string target = part[2].substr(0, part[2].find('\0')).substr(0, 300);
  if (!target.empty()) links.make_symlink(std::string(26, 'B'), target);
  OverlayHome driver(DriverKind::overlay2, home.path(), {});
  refused([&] {
    auto stack = driver.stack(top);
    promise(stack.front() == top, "a layer is on top of its stack");
    for (const LayerId& id : stack) promise_one_name(id, "what a layer stands on is a layer's name");
  });
  refused([&] { driver.create(made, top, {}); });
}
