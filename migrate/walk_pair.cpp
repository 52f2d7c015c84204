#include "migrate/walk_pair.hpp"

#include <optional>
#include <string>
#include <vector>

#include "drivers/sys/interrupt.hpp"

namespace drover {

namespace {

/// One directory of one side: its entries, and how far we are.
struct Side {
  ViewDir dir;
  std::vector<std::string> hidden;
  std::vector<ViewEntry> entries;
  std::size_t next = 0;

  explicit Side(ViewDir d) : dir(std::move(d)), entries(dir.entries(&hidden)) {}
  const ViewEntry* peek() const { return next < entries.size() ? &entries[next] : nullptr; }
};

struct Level {
  std::optional<Side> first, second;
  std::size_t path;  ///< how much of the walk's path is this directory's

  void tell(PairVisitor& visitor, const std::string& path_here) const {
    std::optional<PairDir> a, b;
    if (first) a.emplace(PairDir{first->dir, first->hidden});
    if (second) b.emplace(PairDir{second->dir, second->hidden});
    visitor.enter(a ? &*a : nullptr, b ? &*b : nullptr, path_here);
  }

  // A side that ends on the way down does so once, and keeps its handles meanwhile.
  void let_go(const Level& below) {
    if (first && below.first) first->dir.let_go(below.first->dir);
    if (second && below.second) second->dir.let_go(below.second->dir);
  }
  void reach_from(const Level& below) {
    if (first && below.first) first->dir.reach_from(below.first->dir);
    if (second && below.second) second->dir.reach_from(below.second->dir);
  }
};

}  // namespace

void walk_pair(const ViewDir& first, const ViewDir* second, PairVisitor& visitor) {
  ViewTrail<Level> levels;
  // One text for all levels: a path each would be as many bytes as the square of the depth.
  std::string path;
  levels.push({Side(first.clone()), second ? std::optional<Side>(second->clone()) : std::nullopt, 0});
  levels.back().tell(visitor, path);
  while (!levels.empty()) {
    check_interrupted();
    Level& level = levels.back();
    const ViewEntry* a = level.first ? level.first->peek() : nullptr;
    const ViewEntry* b = level.second ? level.second->peek() : nullptr;
    if (!a && !b) {
      levels.pop();
      visitor.leave();
      continue;
    }
    if (a && b && a->name != b->name) (a->name < b->name ? b : a) = nullptr;
    path.resize(level.path);
    if (level.path > 0) path += '/';
    path += a ? a->name : b->name;
    struct stat st_a {
    }, st_b{};
    std::optional<ViewDir> below_a, below_b;
    bool descend = false;
    if (a) ++level.first->next;
    if (b) ++level.second->next;
    if (visitor.passes_over(path)) continue;
    if (a) st_a = level.first->dir.holder(*a).stat(a->name);
    if (b) st_b = level.second->dir.holder(*b).stat(b->name);
    if (a && b)
      descend = visitor.both({level.first->dir, *a, st_a}, {level.second->dir, *b, st_b}, path);
    else if (a)
      descend = visitor.only_first({level.first->dir, *a, st_a}, path);
    else
      descend = visitor.only_second({level.second->dir, *b, st_b}, path);
    if (!descend) continue;
    if (a && S_ISDIR(st_a.st_mode)) below_a = level.first->dir.sub(*a);
    if (b && S_ISDIR(st_b.st_mode)) below_b = level.second->dir.sub(*b);
    if (!below_a && !below_b) continue;
    Level below;
    if (below_a) below.first.emplace(std::move(*below_a));
    if (below_b) below.second.emplace(std::move(*below_b));
    below.path = path.size();
    levels.push(std::move(below));
    levels.back().tell(visitor, path);
  }
}

}  // namespace drover
