#include "drivers/clone_tree.hpp"

#include <vector>

#include "drivers/attributes.hpp"
#include "drivers/tree_filler.hpp"

namespace drover {

TransferCount clone_tree(const Dir& from, const Dir& to, bool may_link,
                         const std::function<bool(const std::string& path)>& leave_out) {
  struct Level {
    TrailDir from, to;
    std::vector<DirEntry> entries;
    EntryPlacer::Folder folder;
    TreeFiller::FolderRef filled;
    std::size_t path;
    void let_go(const Level&) { from.let_go(), to.let_go(); }
    void reach_from(const Level& below) { from.reach_from(below.from), to.reach_from(below.to); }
  };
  EntryPlacer placer(to, Marks::none, Marks::none, may_link,
                     [&from] { return RepeatedInodes::read({&from}); });
  TreeFiller filler(placer);
  Trail<Level> levels;
  std::string path;
  levels.push({TrailDir(from.clone()), TrailDir(to.clone()), from.list(), EntryPlacer::kRoot,
               filler.begin(EntryPlacer::kRoot), 0});
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.entries.empty()) {
      filler.end(level.to, level.filled, level.from->stat(),
                 content_xattrs(*level.from, "", Marks::none, Marks::none), true);
      if (level.folder != EntryPlacer::kRoot) placer.leave(level.folder);
      levels.pop();
      continue;
    }
    std::string name = std::move(level.entries.back().name);
    level.entries.pop_back();
    path.resize(level.path);
    if (level.path > 0) path += '/';
    path += name;
    if (leave_out && leave_out(path)) continue;
    struct stat st = level.from->stat(name);
    if (!S_ISDIR(st.st_mode)) {
      filler.place(*level.from, name, st, level.to, level.filled, true);
      continue;
    }
    Dir source = level.from->sub(name);
    level.to->make_dir(name, 0700);
    ++placer.count().directories;
    auto entries = source.list();
    EntryPlacer::Folder folder = placer.enter(level.folder, name);
    levels.push({TrailDir(std::move(source)), TrailDir(level.to->sub(name)), std::move(entries), folder,
                 filler.begin(folder), path.size()});
  }
  filler.finish();
  return placer.count();
}

}  // namespace drover
