#include "drivers/clone_tree.hpp"

#include <vector>

#include "drivers/attributes.hpp"

namespace drover {

TransferCount clone_tree(const Dir& from, const Dir& to, bool may_link,
                         const std::function<bool(const std::string& path)>& leave_out) {
  struct Level {
    Dir from, to;
    std::string path;
    std::vector<DirEntry> entries;
  };
  EntryPlacer placer(to, Marks::none, Marks::none, may_link);
  std::vector<Level> levels;
  levels.push_back({from.clone(), to.clone(), "", from.list()});
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.entries.empty()) {
      set_attributes(level.to, "", level.from.stat(),
                     content_xattrs(level.from, "", Marks::none, Marks::none), true);
      levels.pop_back();
      continue;
    }
    std::string name = std::move(level.entries.back().name);
    level.entries.pop_back();
    std::string path = level.path.empty() ? name : level.path + "/" + name;
    if (leave_out && leave_out(path)) continue;
    struct stat st = level.from.stat(name);
    if (!S_ISDIR(st.st_mode)) {
      placer.place(level.from, name, st, level.to, path);
      continue;
    }
    Dir source = level.from.sub(name);
    level.to.make_dir(name, 0700);
    ++placer.count().directories;
    Dir target = level.to.sub(name);
    auto entries = source.list();
    levels.push_back({std::move(source), std::move(target), std::move(path), std::move(entries)});
  }
  return placer.count();
}

}  // namespace drover
