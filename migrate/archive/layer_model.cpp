#include "migrate/archive/layer_model.hpp"

#include <utility>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/tar_split.hpp"

namespace drover {

std::string joined_path(const std::string& parent, std::string_view name) {
  return parent.empty() ? std::string(name) : parent + "/" + std::string(name);
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  std::size_t cut = path.rfind('/');
  if (cut == std::string::npos) return {"", path};
  return {path.substr(0, cut), path.substr(cut + 1)};
}

TarName parse_tar_name(const std::string& name) {
  constexpr std::string_view kPrefix = ".wh.", kOwn = ".wh..wh.", kOpaque = ".wh..wh..opq";
  auto path = clean_tar_name(name);
  if (!path) throw Error("`" + printable(name) + "` leads out of its layer");
  auto [parent, base] = split_path(*path);
  if (base == kOpaque) return {TarName::Kind::opaque, parent};
  if (base.starts_with(kOwn)) return {TarName::Kind::ignored, *path};
  if (base.starts_with(kPrefix)) {
    std::string hides = base.substr(kPrefix.size());
    if (hides.empty() || hides == "." || hides == "..")
      throw Error("`" + printable(name) + "` is a whiteout of no name");
    return {TarName::Kind::whiteout, joined_path(parent, hides)};
  }
  return {TarName::Kind::content, *path};
}

LayerModel::Fingerprint fingerprint_of(const TarMember& member) {
  struct stat st = member.as_stat();
  std::string text;
  auto add = [&](auto value) { text += std::to_string(value) + ","; };
  add(st.st_mode);
  add(st.st_uid);
  add(st.st_gid);
  add(st.st_mtim.tv_sec);
  add(st.st_mtim.tv_nsec);
  add(S_ISDIR(st.st_mode) ? 0 : st.st_size);
  add(S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ? st.st_rdev : 0);
  if (S_ISLNK(st.st_mode)) text += member.target;
  for (const auto& [name, value] : member.xattrs)
    text += '\0' + name + '\0' + std::to_string(value.size()) + ":" + value;
  std::string digest = sha256_hex(text);
  LayerModel::Fingerprint fingerprint;
  for (std::size_t i = 0; i < fingerprint.size(); ++i)
    fingerprint[i] = static_cast<std::uint8_t>(std::stoi(digest.substr(2 * i, 2), nullptr, 16));
  return fingerprint;
}

LayerModel::LayerModel(TarReader& layer) {
  for (TarMember member; layer.next(member);) apply(member);
}

const LayerModel::Said* LayerModel::find_said(const std::string& path) const {
  auto found = names_.find(path);
  return found == names_.end() ? nullptr : &found->second;
}

const LayerModel::Entry* LayerModel::find(const std::string& path) const {
  const Said* said = find_said(path);
  return said && said->has_entry ? &said->entry : nullptr;
}

bool LayerModel::is_gone(const std::string& path) const {
  const Said* said = find_said(path);
  return said && said->is_gone && !said->has_entry;
}

bool LayerModel::is_replaced(const std::string& path) const {
  const Said* said = find_said(path);
  return said && (said->is_gone || said->is_opaque);
}

LayerModel::Group LayerModel::group_of(const std::string& path) const {
  const Entry* entry = find(path);
  return entry ? entry->group : 0;
}

std::size_t LayerModel::group_size(const std::string& path) const {
  Group group = group_of(path);
  return group == 0 ? 1 : links_[group];
}

bool LayerModel::note_seen(const std::string& path) {
  auto found = names_.find(path);
  return found != names_.end() && std::exchange(found->second.seen, true);
}

LayerModel::Said& LayerModel::said_of(const std::string& path) {
  auto [said, is_new] = names_.try_emplace(path);
  if (is_new) name_bytes_.add(path);
  return said->second;
}

void LayerModel::unlink(const Entry& entry) {
  if (entry.group != 0) --links_[entry.group];
}

/// Everything goes that was said of what is below this name.
void LayerModel::drop_below(const std::string& path) {
  const std::string below = path + "/";  // "a-b" stands between "a" and "a/b"
  for (auto at = names_.lower_bound(below); at != names_.end() && at->first.starts_with(below);) {
    unlink(at->second.entry);
    name_bytes_.remove(at->first);
    at = names_.erase(at);
  }
}

LayerModel::Entry LayerModel::linked_to(const std::string& target) {
  auto found = names_.find(target);
  Entry entry;
  if (found == names_.end() || !found->second.has_entry || found->second.entry.is_directory ||
      found->second.entry.foreign) {
    entry.foreign = true;
  } else {
    Group& group = found->second.entry.group;
    if (group == 0) {
      name_bytes_.add({});
      group = static_cast<Group>(links_.size());
      links_.push_back(1);
    }
    ++links_[group];
    entry = found->second.entry;
  }
  entry.linked = true;
  return entry;
}

void LayerModel::apply(const TarMember& member) {
  TarName name = parse_tar_name(member.name);
  if (name.kind == TarName::Kind::ignored) return;
  Said& said = said_of(name.path);
  if (name.kind == TarName::Kind::whiteout) said.is_gone = true;
  if (name.kind == TarName::Kind::opaque) said.is_opaque = true;
  if (name.kind != TarName::Kind::content) return;
  bool is_directory = member.type == TarMember::Type::directory;
  bool was_directory = !said.has_entry || said.entry.is_directory;  // one that only paths tell of, if any
  if (!is_directory || !was_directory) {
    unlink(said.entry);
    said = {};
    drop_below(name.path);
  }
  if (member.type == TarMember::Type::hard_link) {
    said.entry = linked_to(clean_tar_name(member.target).value_or(""));
  } else {
    said.entry = {};
    said.entry.fingerprint = fingerprint_of(member);
    said.entry.is_regular = member.type == TarMember::Type::regular;
    said.entry.is_directory = is_directory;
  }
  said.has_entry = true;
}

std::vector<std::string> LayerModel::unseen() && {
  std::vector<std::string> paths;
  while (!names_.empty()) {
    auto name = names_.extract(names_.begin());
    const Said& said = name.mapped();
    if (!said.seen && !name.key().empty() && (said.has_entry || said.is_gone))
      paths.push_back(std::move(name.key()));
  }
  return paths;
}

}  // namespace drover
