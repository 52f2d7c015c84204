// What `zfs list` prints.
#include "drivers/zfs_command.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(zfs_list) {
  std::string again;
  for (const ZfsFilesystem& f : parse_zfs_list(input)) {
    promise(is_dataset_name(f.name), "a filesystem's name is one");
    promise(!f.guid.empty() && f.guid.find_first_not_of("0123456789") == std::string::npos,
            "a GUID is a number");
    promise_one_name(f.base(), "a name's last component is one name");
    again += f.name + "\t" + f.guid + "\t" + (f.origin.empty() ? "-" : f.origin) + "\t" +
             (f.shows_snapshots ? "visible" : "hidden") + "\n";
  }
  auto once = parse_zfs_list(again);
  promise(once.size() == lines_of(again).size(), "what was read and printed is read again");
}
