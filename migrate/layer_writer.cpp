#include "migrate/layer_writer.hpp"

#include "drivers/attributes.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

void LayerWriter::enter(const Node& node, bool hides_past) {
  auto xattrs = content_xattrs(node.at, node.name, placer_.from_marks(), placer_.to_marks());
  if (node.name.empty()) {
    enter_root(root_, hides_past);
    levels_.push({TrailDir(root_.clone()), EntryPlacer::kRoot, filler_.begin(EntryPlacer::kRoot), node.st,
                  std::move(xattrs), false, hides_past});
    return;
  }
  placer_.check_holdable(node.at, node.name, node.st);
  const Level& above = levels_.back();
  bool fresh = false;
  Dir dir = open_directory(*above.dir, node.name, hides_past, fresh);
  EntryPlacer::Folder folder = placer_.enter(above.folder, node.name);
  bool hidden = hides_past || above.past_hidden;
  levels_.push(
      {TrailDir(std::move(dir)), folder, filler_.begin(folder), node.st, std::move(xattrs), fresh, hidden});
  ++placer_.count().directories;
}

void LayerWriter::leave() {
  Level& level = levels_.back();
  // What a delta's directory carries by now may include a mark of ours: it is not to be cleaned.
  filler_.end(level.dir, level.filled, level.st, std::move(level.xattrs),
              level.fresh || !starts_with_attributes());
  if (level.folder != EntryPlacer::kRoot) placer_.leave(level.folder);
  levels_.pop();
}

void LayerWriter::put(const Node& node) {
  const Level& level = levels_.back();
  if (level.fresh) try {
      // Only members of a hard-link group are told twice: to look first would cost as much as the rest.
      return filler_.place(node.at, node.name, node.st, level.dir, level.filled,
                           !placer_.may_have_more(node.st));
    } catch (const SystemError& e) {
      if (e.number() != EEXIST) throw;
    }
  if (level.dir->exists(node.name)) {
    // Told a second time: to clear it away could be to lose the one that the others are linked to.
    if (placer_.is_placed(node.st, *level.dir, node.name)) return;
    clear_way(*level.dir, node.name);
  }
  filler_.place(node.at, node.name, node.st, level.dir, level.filled, false);
}

void LayerWriter::remove(std::string_view name) {
  // Where nothing of the past shows there is nothing to hide; and the kernel's overlay, which passes over
  // whiteouts in merged directories only, would list the name and find nothing behind it.
  if (levels_.back().past_hidden) return;
  ++placer_.count().hidden;
  hide_name(*levels_.back().dir, name);
}

void DeltaWriter::enter_root(const Dir& root, bool hides_past) {
  if (hides_past) make_opaque(to_, root);
}

Dir DeltaWriter::open_directory(const Dir& in, std::string_view name, bool hides_past, bool& fresh) {
  if (auto again = in.try_sub(name)) return std::move(*again);
  in.make_dir(name, 0700);
  fresh = true;
  Dir dir = in.sub(name);
  if (hides_past) make_opaque(to_, dir);
  return dir;
}

void DeltaWriter::clear_way(const Dir& in, std::string_view name) { in.unlink(name); }

void DeltaWriter::hide_name(const Dir& in, std::string_view name) {
  // A file of this very name would be hidden at once where the driver cannot spell that it is gone.
  if (!can_hold_name(to_, name))
    throw Error(
        "`" + in.path_of(name) + "` is gone in this layer, and the target driver cannot say so of this name",
        "choose another driver");
  if (!in.exists(name)) hide(to_, in, name);
}

void TreeWriter::enter_root(const Dir& root, bool hides_past) {
  if (hides_past) root.clear();
  drop_acls(root);
}

Dir TreeWriter::open_directory(const Dir& in, std::string_view name, bool hides_past, bool& fresh) {
  if (!hides_past)
    if (auto kept = in.try_sub(name)) {
      drop_acls(*kept);
      return std::move(*kept);
    }
  in.remove_tree(name);
  in.make_dir(name, 0700);
  fresh = true;
  return in.sub(name);
}

void TreeWriter::clear_way(const Dir& in, std::string_view name) { in.remove_tree(name); }

void TreeWriter::hide_name(const Dir& in, std::string_view name) { in.remove_tree(name); }

}  // namespace drover
