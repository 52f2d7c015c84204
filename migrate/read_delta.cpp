#include <algorithm>
#include <functional>
#include <set>
#include <unordered_set>

#include "drivers/sys/interrupt.hpp"
#include "migrate/changes.hpp"

namespace drover {

namespace {

/// One directory of a delta, with its marks read.
struct DeltaDir {
  Dir dir;
  std::vector<std::string> content;  // taken from the back
  std::set<std::string> hidden;

  DeltaDir(Dir d, Marks marks, Opacity inside) : dir(std::move(d)) {
    for (DirEntry& entry : dir.list()) {
      DecodedEntry decoded = decode(marks, dir, entry, inside);
      if (decoded.role == EntryRole::content) content.push_back(std::move(entry.name));
      if (decoded.role == EntryRole::whiteout) hidden.insert(std::move(decoded.hides));
    }
    // The same layer is told in the same order wherever it lies.
    std::sort(content.begin(), content.end(), std::greater<>());
  }

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
  std::vector<DeltaDir> levels;
  auto enter = [&](const Dir& at, std::string_view name, const struct stat& st, Dir dir, bool replaced) {
    Opacity inside = opacity(marks, dir);
    bool opaque = inside == Opacity::opaque && (!name.empty() || opaque_root_hides(marks));
    sink.enter({at, name, st}, replaced || opaque);
    levels.emplace_back(std::move(dir), marks, inside);
    levels.back().report_hidden(sink);
  };
  enter(layer, "", layer.stat(), layer.clone(), false);
  while (!levels.empty()) {
    check_interrupted();
    DeltaDir& level = levels.back();
    if (level.content.empty()) {
      levels.pop_back();
      sink.leave();
      continue;
    }
    std::string name = std::move(level.content.back());
    level.content.pop_back();
    struct stat st = level.dir.stat(name);
    if (S_ISDIR(st.st_mode)) {
      // Hidden and there again in one layer: the new directory shows nothing of the old one.
      bool replaced = level.hidden.contains(name);
      Dir at = level.dir.clone();  // levels may move while the child is entered
      Dir child = at.sub(name);
      enter(at, name, st, std::move(child), replaced);
    } else {
      sink.put({level.dir, name, st});
    }
  }
}

}  // namespace drover
