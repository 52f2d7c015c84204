// A migration's journal, which may be torn at its end.
#include "migrate/journal.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(journal) {
  Dir folder = empty_folder();
  put_file(folder, "journal", input);
  JournalContent content = Journal::read(folder);
  for (const LayerId& id : content.finished_layers) promise_one_name(id, "a layer's ID is one name");
  for (const LayerId& id : content.damaged_layers)
    promise(content.finished_layers.contains(id), "what was damaged before is finished");
  auto same = [&](const JournalContent& other) {
    return content.state == other.state && content.finished_layers == other.finished_layers &&
           content.damaged_layers == other.damaged_layers;
  };
  const std::string id(64, '7');
  {
    Journal journal = Journal::open(folder);
    promise(same(Journal::read(folder)), "a torn line that is cut off said nothing");
    journal.step("a step");
    promise(same(Journal::read(folder)), "a step says nothing");
    journal.layers_finished({{id, true}});
    journal.state(MigrationState::switched);
  }
  JournalContent after = Journal::read(folder);
  promise(after.state == MigrationState::switched, "a state that is written down is read");
  promise(after.finished_layers.contains(id) && after.damaged_layers.contains(id), "so is a layer");
}
