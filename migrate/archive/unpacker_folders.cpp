// Where the entries of a tar go: the directories of a layer that is being unpacked.
#include <limits.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "drivers/attributes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/archive/layer_unpacker.hpp"
#include "migrate/tar_split.hpp"

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

std::optional<ViewDir> directory_in(const ViewDir& at, const std::string& name) {
  auto entry = name.size() > NAME_MAX ? std::nullopt : at.find(name);
  if (!entry || !S_ISDIR(at.holder(*entry).stat(name).st_mode)) return std::nullopt;
  return at.sub(*entry);
}

}  // namespace

bool LayerUnpacker::is_whiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

/// What the layers below show under this path.
std::optional<std::pair<ViewDir, ViewEntry>> LayerUnpacker::in_parent(const std::string& path) const {
  auto [above, name] = split_path(path);
  auto at = name.size() > NAME_MAX ? std::nullopt : below_at(above);
  auto entry = at ? at->find(name) : std::nullopt;
  if (!entry) return std::nullopt;
  return std::make_pair(std::move(*at), std::move(*entry));
}

/// The directory that the layers below show there.
std::optional<ViewDir> LayerUnpacker::below_at(std::string_view path) const {
  if (!parent_) return std::nullopt;
  std::optional<ViewDir> at = parent_->root();
  while (at && !path.empty()) {
    std::size_t cut = std::min(path.find('/'), path.size());
    at = directory_in(*at, std::string(path.substr(0, cut)));
    path.remove_prefix(std::min(cut + 1, path.size()));
  }
  return at;
}

/// A directory at the end of the way that the tar has not named yet: as the layers below have it.
void LayerUnpacker::make_folder(const std::string& name) {
  Level& above = way_.back();
  std::string path = joined_path(way_path_, name);
  bool hides = false;
  if (auto st = above.dir->try_stat(name)) {
    if (!is_whiteout(*st))
      throw Error("`" + printable(path) + "` is not a directory, but something is to be in it");
    hides = true;
    above.dir->unlink(name);
  }
  above.dir->make_dir(name, 0700);
  Dir made = above.dir->sub(name);
  if (hides) make_opaque(kFolderMarks, made);
  if (!above.knows_below) above.below = below_at(way_path_);
  above.knows_below = true;
  Level level;
  if (above.below) level.below = directory_in(*above.below, name);
  level.knows_below = true;
  Attributes attributes{plain_directory(), {}};
  if (level.below && !hides)
    attributes = {level.below->top().stat(),
                  content_xattrs(level.below->top(), "", kFolderMarks, kFolderMarks)};
  go_on(std::move(made), name, std::move(level));
  note_directory(way_path_, std::move(attributes));
}

/// A directory's attributes are set at the end, once all that is inside is there.
void LayerUnpacker::note_directory(const std::string& path, Attributes attributes) {
  if (auto before = directories_.find(path); before != directories_.end())
    noted_bytes_ -= bytes_of(path, before->second);
  noted_bytes_ += bytes_of(path, attributes);
  directories_.insert_or_assign(path, std::move(attributes));
  if (noted_bytes_ > kMostNotedBytes)
    throw Error("`" + printable(shortened_path(path)) +
                "`: one layer may not have so many or so deep directories, or so large attributes of them");
}

/// What holds the texts counts, too: of very many short ones it is nearly all.
std::size_t LayerUnpacker::bytes_of(const std::string& path, const Attributes& attributes) {
  constexpr std::size_t kNode = 4 * sizeof(void*) + 32;  // of a map; and what two allocations take
  std::size_t bytes =
      kNode + sizeof(Directories::value_type) + path.size() + attributes.xattrs.capacity() * sizeof(Xattr);
  for (const auto& [name, value] : attributes.xattrs) bytes += name.size() + value.size();
  return bytes;
}

void LayerUnpacker::go_on(Dir dir, std::string_view name, Level level) {
  if (!way_path_.empty()) way_path_ += '/';
  way_path_ += name;
  level.dir = TrailDir(std::move(dir));
  level.path = way_path_.size();
  way_.push(std::move(level));
}

/// Keeps of the way what leads to this path, too. Gives back how much of the path that is.
std::size_t LayerUnpacker::go_back_towards(const std::string& path) {
  // What was removed since has no way back; nothing above it can be gone without it.
  if (!way_.empty() && way_.back().dir->stat().st_nlink == 0) way_.clear();
  if (way_.empty()) {
    way_path_.clear();
    Level top;
    top.dir = TrailDir(root_.clone());
    way_.push(std::move(top));
  }
  std::size_t alike = static_cast<std::size_t>(
      std::mismatch(path.begin(), path.end(), way_path_.begin(), way_path_.end()).first - path.begin());
  auto leads_there = [&](std::size_t end) {
    return end == 0 || (end <= alike && (end == path.size() || path[end] == '/'));
  };
  while (!leads_there(way_.back().path)) way_.pop();
  way_path_.resize(way_.back().path);
  return std::min(way_path_.empty() ? 0 : way_path_.size() + 1, path.size());
}

/// Goes to the directory at this path. A symlink on the way leads where it does inside of the layer, as for
/// the engine. What the layer lacks is made, or else ends the way there: then it is what is given back.
std::string LayerUnpacker::go_to(const std::string& path, bool make) {
  auto go_up = [&] {
    if (way_.size() > 1) way_.pop();
    way_path_.resize(way_.back().path);
  };
  std::string text = path;
  std::size_t at = go_back_towards(path);
  // Where a symlink's target ends what the tar itself names goes on: only that is made.
  std::size_t left_of_tar = text.size() - at;
  for (int symlinks = 0; at < text.size();) {
    const std::size_t from = at, cut = std::min(text.find('/', at), text.size());
    std::string name = text.substr(at, cut - at);
    at = std::min(cut + 1, text.size());
    bool of_symlink = text.size() - at >= left_of_tar;
    if (!of_symlink) left_of_tar = text.size() - at;
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      go_up();
      continue;
    }
    const Dir& in = *way_.back().dir;
    auto sub = in.try_sub(name);
    auto st = sub ? std::nullopt : in.try_stat(name);
    bool is_symlink = st && S_ISLNK(st->st_mode);
    if (!sub && !is_symlink && !make)
      if (auto missing = clean_tar_name(std::string_view(text).substr(from))) return *missing;
    if (!sub && ((is_symlink && ++symlinks > kMostSymlinks) || (!is_symlink && of_symlink)))
      throw Error("a symlink in `" + printable(shortened_path(path)) +
                  "` leads to no directory of the layer");
    if (is_symlink) {
      std::string target = in.read_link(name);
      while (target.starts_with('/') && way_.size() > 1) go_up();
      text = target + "/" + text.substr(at);
      at = 0;
    } else if (sub) {
      go_on(std::move(*sub), name, {});
    } else {
      make_folder(name);
    }
  }
  return "";
}

/// The directory at this path, made with all above it where it is not there.
const Dir& LayerUnpacker::folder(const std::string& path) {
  if (folder_ && folder_path_ == path) return *folder_;
  if (path.empty()) {
    folder_.reset();
    real_path_.clear();
    return root_;
  }
  go_to(path, true);
  folder_path_ = path;
  real_path_ = way_path_;
  folder_ = way_.back().dir->clone();
  return *folder_;
}

/// Whether nothing shows there of what the layers below have in this directory of the layer's, or in one
/// above it.
bool LayerUnpacker::hides_below(std::string_view path) const {
  if (opaque_root_) return true;
  for (Dir at = root_.clone(); !path.empty();) {
    std::size_t cut = std::min(path.find('/'), path.size());
    at = at.sub(std::string(path.substr(0, cut)));
    if (opacity(kFolderMarks, at) == Opacity::opaque) return true;
    path.remove_prefix(std::min(cut + 1, path.size()));
  }
  return false;
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
  auto drop = [&](auto at) {
    noted_bytes_ -= bytes_of(at->first, at->second);
    return directories_.erase(at);
  };
  if (auto at = directories_.find(path); at != directories_.end()) drop(at);
  std::string below = path + "/";
  for (auto at = directories_.lower_bound(below); at != directories_.end() && at->first.starts_with(below);)
    at = drop(at);
}

}  // namespace drover
