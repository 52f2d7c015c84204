#include "drivers/remarks.hpp"

#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/trail.hpp"

namespace drover {

namespace {
constexpr std::size_t kNamed = 3;

/// A directory of the layer, and the names in it that are still to be looked at.
struct RemarksLevel {
  TrailDir dir;
  std::vector<std::string> names;
  std::size_t path;  ///< how much of the path, from the layer's root and with a slash at its end, is its own
  void let_go(const RemarksLevel&) { dir.let_go(); }
  void reach_from(const RemarksLevel& below) { dir.reach_from(below.dir); }
};
}  // namespace

std::vector<std::string> remarks_on_hidden(Marks marks, const Dir& layer, std::string_view driver) {
  std::size_t count = 0;
  std::string named;
  std::string path;
  Trail<RemarksLevel> levels;
  auto enter = [&](Dir dir) {
    for (const std::string& name : present_and_hidden(marks, dir))
      if (++count <= kNamed)
        named += (count > 1 ? ", `" : "`") + printable(shortened_path(path + name)) + "`";
    Opacity inside = opacity(marks, dir);
    std::vector<std::string> names;
    for (DirEntry& entry : dir.list())
      if (decode(marks, dir, entry, inside).role == EntryRole::content)
        names.push_back(std::move(entry.name));
    levels.push({TrailDir(std::move(dir)), std::move(names), path.size()});
  };
  enter(layer.clone());
  while (!levels.empty()) {
    check_interrupted();
    RemarksLevel& level = levels.back();
    if (level.names.empty()) {
      levels.pop();
      continue;
    }
    std::string name = std::move(level.names.back());
    level.names.pop_back();
    auto below = level.dir->try_sub(name);
    if (!below) continue;
    path.resize(level.path);
    path += name + "/";
    enter(std::move(*below));
  }
  if (count == 0) return {};
  if (count > kNamed) named += " and " + std::to_string(count - kNamed) + " more";
  return {named + (count == 1 ? " is" : " are") +
          " in its tar both as present and as deleted: " + std::string(driver) +
          " hides what the image specification and all other drivers show; it will show"};
}

}  // namespace drover
