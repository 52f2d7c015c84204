// The list of marks of a renamed layer, which may be torn, or somebody else's.
#include "migrate/mark_list.hpp"

#include <sys/stat.h>

#include <vector>

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {
using MarkKind = MarkRecord::Kind;

std::vector<MarkRecord> read_marks(const Dir& folder, const std::string& name) {
  std::vector<MarkRecord> all;
  MarkListReader reader(folder, name);
  for (MarkRecord record; reader.next(record);) all.push_back(record);
  MarkRecord more;
  promise(!reader.next(more), "the end stays the end");
  return all;
}
}  // namespace

FUZZ_TARGET(mark_list) {
  Dir folder = empty_folder();
  put_file(folder, "list", input);
  std::vector<MarkRecord> marks;
  if (refused([&] { marks = read_marks(folder, "list"); })) return;
  std::size_t depth = 0;
  bool timed = false;
  MarkListWriter writer(folder, "again");
  for (const MarkRecord& mark : marks) {
    bool named = mark.kind == MarkKind::enter || mark.kind == MarkKind::whiteout ||
                 mark.kind == MarkKind::keep || mark.kind == MarkKind::drop;
    if (named) promise_one_name(mark.name, "a name is one component");
    if (mark.kind == MarkKind::enter) ++depth, timed = false;
    if (mark.kind == MarkKind::leave) {
      promise(depth > 0, "no list leads out of its layer");
      --depth, timed = false;
    }
    if (mark.kind == MarkKind::times) {
      timed = true;
      struct stat st = {};
      st.st_atim = mark.times[0], st.st_mtim = mark.times[1];
      writer.add_times(st);
    } else if (mark.kind != MarkKind::end) {
      if (named && mark.kind != MarkKind::enter)
        promise(timed, "no entry changes before its directory's times are known");
      writer.add(mark.kind, mark.name);
    }
  }
  promise(depth == 0, "a whole list ends where it began");
  writer.finish();
  std::vector<MarkRecord> again = read_marks(folder, "again");
  promise(again.size() == marks.size(), "what is written is read");
  for (std::size_t i = 0; i < marks.size() && i < again.size(); ++i) {
    promise(again[i].kind == marks[i].kind && again[i].name == marks[i].name, "record by record");
    for (int t : {0, 1})
      promise(marks[i].kind != MarkKind::times || (again[i].times[t].tv_sec == marks[i].times[t].tv_sec &&
                                                   again[i].times[t].tv_nsec == marks[i].times[t].tv_nsec),
              "with its times");
  }
}
