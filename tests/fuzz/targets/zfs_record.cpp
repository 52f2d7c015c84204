// datasets.json, by which drover knows its own zfs filesystems.
#include "drivers/zfs_record.hpp"

#include "drivers/zfs_command.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(zfs_record) {
  Dir home = empty_folder();
  put_file(home, "datasets.json", input);
  auto record = ZfsRecord::read(home.path());
  promise(record.has_value(), "a record that is there is read or refused");
  promise(is_dataset_name(record->parent), "the parent is a filesystem's name");
  promise(record->work.empty() || is_dataset_name(record->work_name()), "so is what is worked in");
  for (const auto& [id, guid] : record->layers) promise_one_name(id, "a layer's ID is one name");
  record->write(home);
  auto again = ZfsRecord::read(home.path());
  promise(again && again->parent == record->parent && again->work == record->work &&
              again->layers == record->layers,
          "what is written is read again");
}
