#include <algorithm>
#include <functional>
#include <set>
#include <unordered_set>

#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/trail.hpp"
#include "migrate/changes.hpp"

namespace drover {

namespace {

/// One directory of a delta, with its marks read.
struct DeltaDir {
  TrailDir dir;
  std::vector<std::string> content;  // taken from the back
  std::set<std::string> hidden;

  DeltaDir(TrailDir d, Marks marks, Opacity inside) : dir(std::move(d)) {
    for (DirEntry& entry : dir->list()) {
      DecodedEntry decoded = decode(marks, *dir, entry, inside);
      if (decoded.role == EntryRole::content) content.push_back(std::move(entry.name));
      if (decoded.role == EntryRole::whiteout) hidden.insert(std::move(decoded.hides));
    }
    // The same layer is told in the same order wherever it lies.
    std::sort(content.begin(), content.end(), std::greater<>());
  }

  void let_go(const DeltaDir&) { dir.let_go(); }
  void reach_from(const DeltaDir& below) { dir.reach_from(below.dir); }

  /// Tells of the names that are gone and have nothing new in their place.
  void report_hidden(ChangeSink& sink) {
    if (hidden.empty()) return;
    std::unordered_set<std::string_view> present(content.begin(), content.end());
    for (const std::string& name : hidden)
      if (!present.contains(name)) sink.remove(name);
  }
};

}  // namespace

void read_delta(const Dir& layer, Marks marks, ChangeSink& sink) {
  Trail<DeltaDir> levels;
  auto enter = [&](const Dir& at, std::string_view name, const struct stat& st, Dir dir, bool replaced) {
    Opacity inside = opacity(marks, dir);
    bool opaque = inside == Opacity::opaque && (!name.empty() || opaque_root_hides(marks));
    sink.enter({at, name, st}, replaced || opaque);
    levels.push(DeltaDir(TrailDir(std::move(dir)), marks, inside));
    levels.back().report_hidden(sink);
  };
  enter(layer, "", layer.stat(), layer.clone(), false);
  while (!levels.empty()) {
    check_interrupted();
    DeltaDir& level = levels.back();
    if (level.content.empty()) {
      levels.pop();
      sink.leave();
      continue;
    }
    std::string name = std::move(level.content.back());
    level.content.pop_back();
    struct stat st = level.dir->stat(name);
    if (S_ISDIR(st.st_mode)) {
      // Hidden and there again in one layer: the new directory shows nothing of the old one.
      bool replaced = level.hidden.contains(name);
      enter(*level.dir, name, st, level.dir->sub(name), replaced);
    } else {
      sink.put({*level.dir, name, st});
    }
  }
}

}  // namespace drover
