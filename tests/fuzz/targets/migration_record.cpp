// plan.json: what a migration is about.
#include "migrate/migration_record.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(migration_record) {
  bool is_pointer = false;
  MigrationRecord record = parse_record(std::string(input), is_pointer);
  promise(record.config_path.starts_with('/'), "the configuration's path is absolute");
  if (record.move)
    promise(record.move->from_root.starts_with('/') && record.move->to_root.starts_with('/'),
            "roots are absolute");
  promise(!is_pointer || record.move, "only a move has a pointer");
  promise_shown(describe(record), "a description is one line of harmless text");
  const std::string text = record_text(record, is_pointer);
  bool again = false;
  const MigrationRecord copy = parse_record(text, again);
  promise_same(record_text(copy, again), text, "what is written is read again");
  promise(again == is_pointer, "a pointer stays one");
}
