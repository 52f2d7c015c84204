#include "migrate/archive/layer_amendments.hpp"

#include <algorithm>

namespace drover {

LayerAmendments::LayerAmendments(LayerModel& model, const Dir& own, Marks marks, ByteSink to)
    : model_(model), own_(own), marks_(marks), to_(std::move(to)) {}

EntryWriter& LayerAmendments::out() {
  if (!out_) out_.emplace(marks_, to_);
  return *out_;
}

void LayerAmendments::enter(const Node& node, bool hides_past) {
  path_.enter(node.name);
  const std::string& path = path_.here();
  TarMember member = EntryWriter(marks_, {}).describe(node, path);
  const LayerModel::Entry* entry = model_.find(path);
  bool was_seen = model_.note_seen(path);
  bool again = entry ? was_seen : !entered_.insert(RecordedPaths::fingerprint(path)).second;
  bool same = entry && entry->is_directory && entry->fingerprint == fingerprint_of(member) &&
              model_.is_replaced(path) == hides_past;
  if (same || again) return;
  if (hides_past) member.drover[kMarkRecord] = kMarkReplaced;
  out().write(member);
}

void LayerAmendments::put(const Node& node) {
  std::string path = path_.of(node.name);
  const LayerModel::Entry* entry = model_.find(path);
  model_.note_seen(path);
  TarMember member = EntryWriter(marks_, {}).describe(node, path);
  bool same =
      entry && !entry->is_directory && !entry->foreign && entry->fingerprint == fingerprint_of(member);
  // What a name is linked to shows once all names are known; and some drivers link files of several layers,
  // so that the number of links says nothing of this one. All files are written at the end, in one order.
  if (node.st.st_nlink > 1)
    note(groups_[{node.st.st_dev, node.st.st_ino}], path, same);
  else if (!same || model_.group_size(path) != 1)
    note(singles_.emplace_back(), path, false);
}

void LayerAmendments::note(Group& group, const std::string& path, bool same) {
  if (group.names.insert(path).second) name_bytes_.add(path);
  group.same &= same;
}

/// The file with all it has; without its content where that is in the tar under this very name.
void LayerAmendments::write_file(const Node& node, const std::string& path) {
  TarMember member = out().describe(node, path);
  const LayerModel::Entry* entry = model_.find(path);
  bool kept = entry && entry->is_regular && !entry->linked && member.type == TarMember::Type::regular;
  if (!kept) return out().write(member, node.at, node.name);
  member.size = 0;
  member.drover[kContentRecord] = kContentKept;
  out().write(member);
}

void LayerAmendments::remove(std::string_view name) {
  std::string path = path_.of(name);
  model_.note_seen(path);
  if (!model_.is_gone(path)) out().write_mark(path, kMarkGone);
}

/// What the tar has otherwise, or links otherwise, is written as one file and its links.
void LayerAmendments::check_group(const Group& group) {
  const std::string& first = *group.names.begin();
  bool alike = model_.group_size(first) == group.names.size() &&
               std::all_of(group.names.begin(), group.names.end(), [&](const std::string& name) {
                 return model_.group_of(name) == model_.group_of(first);
               });
  if (alike && group.same) return;
  auto [parent, base] = split_path(first);
  Dir at = parent.empty() ? own_.clone() : own_.walk(parent);
  struct stat st = at.stat(base);
  write_file({at, base, st}, first);
  TarMember member = out().describe({at, base, st}, first);
  for (const std::string& name : group.names)
    if (name != first) out().write_link(member, name, first);
}

void LayerAmendments::finish() {
  // In the order of their names, whatever numbers the files have.
  std::map<std::string_view, const Group*> groups;
  for (const auto& [inode, group] : groups_) groups.emplace(*group.names.begin(), &group);
  for (const Group& single : singles_) groups.emplace(*single.names.begin(), &single);
  for (const auto& [first, group] : groups) check_group(*group);
  for (const std::string& path : std::move(model_).unseen()) out().write_mark(path, kMarkAbsent);
  if (out_) out_->finish();
}

}  // namespace drover
