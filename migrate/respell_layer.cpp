#include "migrate/respell_layer.hpp"

#include <linux/fs.h>
#include <sys/stat.h>

#include <optional>

#include "drivers/respell.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/trail.hpp"
#include "migrate/mark_list.hpp"

namespace drover {

namespace {

using MarkKind = MarkRecord::Kind;

/// Where a list leads, and what it says of each directory there.
class ListedMarks {
 public:
  explicit ListedMarks(const LayerMarks& marks) : marks_(marks), list_(marks.lists, marks.id) {
    levels_.push({TrailDir(marks.layer.clone())});
  }

  /// `visit(dir, record, number)` for each change: `number` is that of a `keep`. `settle(dir, times)` after
  /// the last one in a directory.
  template <class Visit, class Settle>
  void each(Visit&& visit, Settle&& settle) {
    MarkRecord record;
    std::optional<MarkRecord> times;
    std::size_t kept = 0;
    auto settle_directory = [&] {
      if (times) settle(*levels_.back().dir, times->times);
      times.reset();
    };
    while (list_.next(record)) {
      switch (record.kind) {
        case MarkKind::times:
          settle_directory();
          times = record;
          break;
        case MarkKind::enter:
          settle_directory();
          levels_.push({TrailDir(levels_.back().dir->sub(record.name))});
          break;
        case MarkKind::leave:
          settle_directory();
          levels_.pop();
          break;
        case MarkKind::end:
          settle_directory();
          break;
        default:
          visit(*levels_.back().dir, record, record.kind == MarkKind::keep ? kept++ : 0);
      }
    }
  }

 private:
  struct Level {
    TrailDir dir;
    void let_go(const Level&) { dir.let_go(); }
    void reach_from(const Level& below) { dir.reach_from(below.dir); }
  };
  const LayerMarks& marks_;
  MarkListReader list_;
  Trail<Level> levels_;
};

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void set_times(const Dir& dir, const timespec (&times)[2]) {
  struct stat st = dir.stat();
  if (same_time(st.st_mtim, times[1])) return;
  if (disk::utimensat(dir.fd(), ".", times, 0) != 0)
    throw_errno("cannot set the times of `" + dir.path() + "`");
}

std::string bookkeeping_of(const LayerMarks& marks) { return "kept/bookkeeping/" + marks.id; }

void keep_entry(const LayerMarks& marks, const Dir& dir, const std::string& name, std::size_t number) {
  Dir kept = marks.folder.make_path(bookkeeping_of(marks), 0700);
  std::string as = std::to_string(number);
  if (dir.exists(name)) return dir.rename(name, kept, as, RENAME_NOREPLACE);
  if (!kept.exists(as)) throw Error("`" + dir.path_of(name) + "` is gone", "restore it, then try again");
}

void bring_back(const LayerMarks& marks, const Dir& dir, const std::string& name, std::size_t number) {
  // Nothing was put aside yet where the switch was cut before it.
  Dir kept = marks.folder.make_path(bookkeeping_of(marks), 0700);
  std::string as = std::to_string(number);
  if (kept.exists(as)) kept.rename(as, dir, name, RENAME_NOREPLACE);
}

void apply_list(const LayerMarks& marks, Marks from, Marks to, bool back) {
  ListedMarks(marks).each(
      [&](const Dir& dir, const MarkRecord& record, std::size_t number) {
        switch (record.kind) {
          case MarkKind::whiteout:
            return respell_whiteout(to, dir, record.name);
          case MarkKind::opaque:
            return respell_opaque(from, to, dir);
          case MarkKind::keep:
            return back ? bring_back(marks, dir, record.name, number)
                        : keep_entry(marks, dir, record.name, number);
          case MarkKind::drop:
            if (!back) remove_fuse_leftover(dir, record.name);
            return;
          default:
            return;
        }
      },
      set_times);
}

[[noreturn]] void misspelled(const std::string& what) {
  throw Error(ExitCode::proof_failed, what + " does not say what it said before its marks were spelled anew",
              "`drover rollback` spells them as they were");
}

void require_list(const LayerMarks& marks, Marks from, Marks to, bool back) {
  ListedMarks(marks).each(
      [&](const Dir& dir, const MarkRecord& record, std::size_t) {
        bool right = true;
        if (record.kind == MarkKind::whiteout) right = spells_whiteout(to, dir, record.name);
        if (record.kind == MarkKind::opaque) right = spells_opaque(from, to, dir);
        if (record.kind == MarkKind::keep) right = dir.exists(record.name) == back;
        if (record.kind == MarkKind::drop) right = back || !is_fuse_leftover(dir, record.name);
        if (!right) misspelled("`" + dir.path_of(record.name.empty() ? "." : record.name) + "`");
      },
      [](const Dir& dir, const timespec(&times)[2]) {
        if (!same_time(dir.stat().st_mtim, times[1])) misspelled("the time of `" + dir.path() + "`");
      });
}

}  // namespace

void respell(const LayerMarks& marks) { apply_list(marks, marks.from, marks.to, false); }
void respell_back(const LayerMarks& marks) { apply_list(marks, marks.to, marks.from, true); }

void restore_bookkeeping(const LayerMarks& marks) {
  MarkListReader list(marks.lists, marks.id);
  MarkRecord record;
  // It is in the root alone, which is listed first; what is below may be gone by now.
  for (std::size_t kept = 0; list.next(record) && record.kind != MarkKind::enter;)
    if (record.kind == MarkKind::keep) {
      if (!marks.layer.exists(record.name)) bring_back(marks, marks.layer, record.name, kept);
      ++kept;
    }
}

void require_respelled(const LayerMarks& marks) { require_list(marks, marks.from, marks.to, false); }
void require_respelled_back(const LayerMarks& marks) { require_list(marks, marks.to, marks.from, true); }

}  // namespace drover
