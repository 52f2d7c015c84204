// Where the entries of a tar go: the directories of a layer that is being unpacked.
#include <limits.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "drivers/attributes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/trail.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/archive/layer_unpacker.hpp"

namespace drover {

namespace {

constexpr Marks kFolderMarks = Marks::overlay;
constexpr int kMostSymlinks = 40;  // as the kernel's MAXSYMLINKS
// Directories are remembered by their paths, and those of a deep tree are long: what some 16000 levels take.
constexpr std::size_t kMostNotedBytes = 256 << 20;

/// The directory's own attributes, with an owner and a mode where no tar says any.
struct stat plain_directory() {
  TarMember member;
  member.type = TarMember::Type::directory;
  member.mode = 0755;
  return member.as_stat();
}

}  // namespace

bool LayerUnpacker::is_whiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

/// What the layers below show under this path.
std::optional<std::pair<ViewDir, ViewEntry>> LayerUnpacker::in_parent(const std::string& path) const {
  if (!parent_) return std::nullopt;
  ViewDir at = parent_->root();
  for (std::string rest = path;;) {
    std::size_t cut = std::min(rest.find('/'), rest.size());
    std::string name = rest.substr(0, cut);
    auto entry = name.size() > NAME_MAX ? std::nullopt : at.find(name);
    if (!entry) return std::nullopt;
    rest.erase(0, std::min(cut + 1, rest.size()));
    if (rest.empty()) return std::make_pair(std::move(at), std::move(*entry));
    if (!S_ISDIR(at.holder(*entry).stat(name).st_mode)) return std::nullopt;
    at = at.sub(*entry);
  }
}

/// A directory that the tar has not named yet: as the layers below have it.
Dir LayerUnpacker::make_folder_in(const Dir& above, const std::string& name, const std::string& path) {
  bool hides = false;
  if (auto st = above.try_stat(name)) {
    if (!is_whiteout(*st))
      throw Error("`" + printable(path) + "` is not a directory, but something is to be in it");
    hides = true;
    above.unlink(name);
  }
  above.make_dir(name, 0700);
  Dir made = above.sub(name);
  if (hides) make_opaque(kFolderMarks, made);
  Attributes attributes{plain_directory(), {}};
  if (auto below = hides ? std::nullopt : in_parent(path)) {
    const Dir& holder = below->first.holder(below->second);
    struct stat st = holder.stat(name);
    if (S_ISDIR(st.st_mode)) attributes = {st, content_xattrs(holder, name, kFolderMarks, kFolderMarks)};
  }
  note_directory(path, std::move(attributes));
  return made;
}

/// A directory's attributes are set at the end, once all that is inside is there.
void LayerUnpacker::note_directory(const std::string& path, Attributes attributes) {
  if (!directories_.insert_or_assign(path, std::move(attributes)).second) return;
  noted_bytes_ += path.size();
  if (noted_bytes_ > kMostNotedBytes)
    throw Error("`" + printable(shortened_path(path)) +
                "`: one layer may not have so many or so deep directories");
}

/// The directory at this path, made with all above it where it is not there. A symlink on the way leads where
/// it does inside of the layer, as for the engine.
const Dir& LayerUnpacker::folder(const std::string& path) {
  if (folder_ && folder_path_ == path) return *folder_;
  struct Level {
    TrailDir dir;
    std::size_t path;  // how much of `here` is its own
    void let_go(const Level&) { dir.let_go(); }
    void reach_from(const Level& below) { dir.reach_from(below.dir); }
  };
  if (path.empty()) {
    folder_.reset();
    real_path_.clear();
    return root_;
  }
  Trail<Level> at;
  std::string here, rest = path;
  at.push({TrailDir(root_.clone()), 0});
  // Where a symlink's target ends what the tar itself names goes on: only that is made.
  std::size_t left_of_tar = rest.size();
  auto go_to_root = [&] {
    while (at.size() > 1) at.pop();
    here.clear();
  };
  for (int symlinks = 0; !rest.empty();) {
    std::size_t cut = std::min(rest.find('/'), rest.size());
    std::string name = rest.substr(0, cut);
    rest.erase(0, std::min(cut + 1, rest.size()));
    bool of_symlink = rest.size() >= left_of_tar;
    if (!of_symlink) left_of_tar = rest.size();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (at.size() > 1) at.pop();
      here.resize(at.back().path);
      continue;
    }
    const Dir& in = *at.back().dir;
    std::string next = joined_path(here, name);
    auto sub = in.try_sub(name);
    auto st = sub ? std::nullopt : in.try_stat(name);
    bool is_symlink = st && S_ISLNK(st->st_mode);
    if (!sub && ((is_symlink && ++symlinks > kMostSymlinks) || (!is_symlink && of_symlink)))
      throw Error("a symlink in `" + printable(shortened_path(path)) +
                  "` leads to no directory of the layer");
    if (is_symlink) {
      std::string target = in.read_link(name);
      if (target.starts_with('/')) go_to_root();
      rest = target + "/" + rest;
      continue;
    }
    Dir entered = sub ? std::move(*sub) : make_folder_in(in, name, next);
    here = std::move(next);
    at.push({TrailDir(std::move(entered)), here.size()});
  }
  folder_path_ = path;
  real_path_ = here;
  folder_ = at.back().dir->clone();
  return *folder_;
}

/// Nothing is made, no symlink followed; null where there is none.
const Dir* LayerUnpacker::existing_folder(const std::string& path) {
  if (path.empty()) return &root_;
  try {
    folder_ = root_.walk(path);
    folder_path_ = real_path_ = path;
    return &*folder_;
  } catch (const SystemError& e) {
    if (e.number() != ENOENT && e.number() != ENOTDIR && e.number() != ELOOP) throw;
    return nullptr;
  }
}

/// What is said of a path, and of those below it, does not hold any more.
void LayerUnpacker::forget(const std::string& path) {
  folder_.reset();
  noted_bytes_ -= directories_.erase(path) * path.size();
  std::string below = path + "/";
  for (auto at = directories_.lower_bound(below); at != directories_.end() && at->first.starts_with(below);) {
    noted_bytes_ -= at->first.size();
    at = directories_.erase(at);
  }
}

}  // namespace drover
