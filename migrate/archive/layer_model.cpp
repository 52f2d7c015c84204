#include "migrate/archive/layer_model.hpp"

#include <algorithm>

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

LayerModel::Entry* LayerModel::find(const std::string& path) {
  auto found = entries_.find(path);
  return found == entries_.end() ? nullptr : &found->second;
}

const std::string& LayerModel::group_of(const std::string& path) const {
  auto link = link_of_.find(path);
  return link == link_of_.end() ? path : link->second;
}

std::size_t LayerModel::group_size(const std::string& path) const {
  auto links = links_.find(group_of(path));
  return links == links_.end() ? 1 : 1 + links->second;
}

/// Takes out a name and everything below it.
void LayerModel::drop(const std::string& path) {
  auto from = entries_.lower_bound(path);
  for (auto at = from; at != entries_.end();) {
    if (at->first != path && !at->first.starts_with(path + "/")) {
      // "a-b" stands between "a" and "a/b".
      if (!at->first.starts_with(path)) break;
      ++at;
      continue;
    }
    if (auto link = link_of_.find(at->first); link != link_of_.end()) {
      if (auto links = links_.find(link->second); links != links_.end()) --links->second;
      link_of_.erase(link);
    }
    at = entries_.erase(at);
  }
}

void LayerModel::apply(const TarMember& member) {
  TarName name = parse_tar_name(member.name);
  if (name.kind == TarName::Kind::ignored) return;
  if (name.kind == TarName::Kind::whiteout) {
    gone_.insert(name.path);
    return;
  }
  if (name.kind == TarName::Kind::opaque) {
    opaque_.insert(name.path);
    return;
  }
  Entry entry;
  entry.is_directory = member.type == TarMember::Type::directory;
  auto before = entries_.find(name.path);
  if (before != entries_.end() && !(before->second.is_directory && entry.is_directory)) drop(name.path);
  if (member.type == TarMember::Type::hard_link) {
    entry.linked = true;
    std::string target = clean_tar_name(member.target).value_or("");
    auto found = entries_.find(target);
    if (found == entries_.end() || found->second.is_directory || found->second.foreign) {
      entry.foreign = true;
    } else {
      entry.fingerprint = found->second.fingerprint;
      entry.is_regular = found->second.is_regular;
      std::string first = group_of(target);
      link_of_.insert_or_assign(name.path, first);
      ++links_[first];
    }
  } else {
    entry.fingerprint = fingerprint_of(member);
    entry.is_regular = member.type == TarMember::Type::regular;
  }
  entries_.insert_or_assign(name.path, entry);
}

std::set<std::string> LayerModel::unseen() const {
  std::set<std::string> paths;
  for (const auto& [path, entry] : entries_)
    if (!entry.seen && !path.empty() && !seen_.contains(path)) paths.insert(path);
  for (const std::string& path : gone_)
    if (!entries_.contains(path) && !seen_.contains(path)) paths.insert(path);
  return paths;
}

}  // namespace drover
