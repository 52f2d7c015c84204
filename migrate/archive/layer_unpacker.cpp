#include "migrate/archive/layer_unpacker.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "drivers/attributes.hpp"
#include "drivers/sys/copy_content.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/archive/changes_writer.hpp"
#include "migrate/archive/extents_record.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/tar_split.hpp"

namespace drover {

namespace {

constexpr Marks kMarks = Marks::overlay;

bool is_whiteout(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0); }

std::string joined(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : parent + "/" + name;
}

/// Longer names are in no filesystem, and the error of the one at hand would name a place that is gone by
/// then.
void require_short_names(const std::string& path) {
  for (std::size_t from = 0; from < path.size();) {
    std::size_t end = std::min(path.find('/', from), path.size());
    if (end - from > NAME_MAX)
      throw Error("the name `" + printable(path.substr(from, 20)) + "...` is longer than " +
                  std::to_string(NAME_MAX) + " bytes");
    from = end + 1;
  }
}

/// The directory's own attributes, with an owner and a mode where no tar says any.
struct stat plain_directory() {
  TarMember member;
  member.type = TarMember::Type::directory;
  member.mode = 0755;
  return member.as_stat();
}

}  // namespace

LayerUnpacker::LayerUnpacker(const Dir& root, const View* parent)
    : root_(root), parent_(parent), copies_(root, kMarks, kMarks, false), room_(root) {
  // A layer whose tar does not name its root shows that of the layer below.
  if (!parent_) return;
  ViewDir top = parent_->root();
  directories_[""] = {top.top().stat(), content_xattrs(top.top(), "", kMarks, kMarks)};
}

std::vector<Xattr> LayerUnpacker::xattrs_of(const TarMember& member, const std::string& path) const {
  std::vector<Xattr> kept;
  for (const Xattr& xattr : member.xattrs) {
    if (!is_bookkeeping_xattr(kMarks, xattr.first) && !is_filesystem_property(xattr.first))
      kept.push_back(xattr);
    else
      log_warning("`" + printable(path) + "`: attribute " + printable(xattr.first) +
                  " is left out, overlay would take it for its own");
  }
  return kept;
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
  if (hides) make_opaque(kMarks, made);
  Attributes attributes{plain_directory(), {}};
  if (auto below = hides ? std::nullopt : in_parent(path)) {
    const Dir& holder = below->first.holder(below->second);
    struct stat st = holder.stat(name);
    if (S_ISDIR(st.st_mode)) attributes = {st, content_xattrs(holder, name, kMarks, kMarks)};
  }
  directories_[path] = std::move(attributes);
  return made;
}

/// The directory at this path, made with all above it where it is not there. A symlink on the way leads where
/// it does inside of the layer, as for the engine.
const Dir& LayerUnpacker::folder(const std::string& path) {
  if (folder_ && folder_path_ == path) return *folder_;
  folder_.reset();
  real_path_.clear();
  if (path.empty()) return root_;
  Dir at = root_.clone();
  std::string here;
  for (std::string rest = path; !rest.empty();) {
    std::size_t cut = std::min(rest.find('/'), rest.size());
    std::string name = rest.substr(0, cut);
    rest.erase(0, std::min(cut + 1, rest.size()));
    here = joined(here, name);
    if (auto sub = at.try_sub(name)) {
      at = std::move(*sub);
      continue;
    }
    auto st = at.try_stat(name);
    if (st && S_ISLNK(st->st_mode)) {
      auto inside = root_.open_in_root(here, O_RDONLY | O_DIRECTORY);
      if (!inside)
        throw Error("`" + printable(here) + "` is a symlink that leads to no directory of the layer");
      at = Dir(std::move(*inside), root_.path_of(here));
      here = path_below_root(at);
      continue;
    }
    at = make_folder_in(at, name, here);
  }
  folder_path_ = path;
  real_path_ = here;
  folder_ = std::move(at);
  return *folder_;
}

/// Where symlinks have led.
std::string LayerUnpacker::path_below_root(const Dir& dir) const {
  auto path_of = [](int fd) {
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)).string();
  };
  std::string root = path_of(root_.fd()), path = path_of(dir.fd());
  return path.starts_with(root + "/") ? path.substr(root.size() + 1) : "";
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
  directories_.erase(path);
  std::string below = path + "/";
  for (auto at = directories_.lower_bound(below); at != directories_.end() && at->first.starts_with(below);)
    at = directories_.erase(at);
}

void LayerUnpacker::clear_way(const Dir& in, const std::string& name, const std::string& path) {
  auto st = in.try_stat(name);
  if (!st) return;
  Dir above = in.clone();  // `in` may be what is forgotten
  if (!S_ISDIR(st->st_mode)) {
    folder_.reset();  // it may have led there
    return above.unlink(name);
  }
  forget(path);
  above.remove_tree(name);
}

void LayerUnpacker::hide_path(const std::string& path, bool even_content) {
  if (path.empty()) throw Error("it says that its root is gone");
  auto [parent, name] = split_path(path);
  const Dir& in = folder(parent);
  auto st = in.try_stat(name);
  if (st && is_whiteout(*st)) return;
  if (st && !even_content) {
    // There and gone in one layer: it is there, and shows nothing of what is below.
    if (S_ISDIR(st->st_mode)) make_opaque(kMarks, in.sub(name));
    return;
  }
  Dir at = in.clone();
  clear_way(at, name, path);
  hide(kMarks, at, name);
}

void LayerUnpacker::put_directory(const TarMember& member, const std::string& path) {
  Attributes attributes{member.as_stat(), xattrs_of(member, path)};
  std::string real = path;
  if (!path.empty()) {
    auto [parent, name] = split_path(path);
    Dir in = folder(parent).clone();
    real = joined(real_path_, name);
    auto st = in.try_stat(name);
    bool was_hidden = st && is_whiteout(*st);
    if (st && !S_ISDIR(st->st_mode)) clear_way(in, name, path);
    if (!st || !S_ISDIR(st->st_mode)) in.make_dir(name, 0700);
    if (was_hidden) make_opaque(kMarks, in.sub(name));
  }
  directories_[real] = std::move(attributes);
}

void LayerUnpacker::put_link(const TarMember& member, const std::string& path) {
  auto target = clean_tar_name(member.target);
  if (!target || target->empty())
    throw Error("`" + printable(path) + "` links to what is outside of its layer");
  auto [target_parent, target_name] = split_path(*target);
  const Dir* from = existing_folder(target_parent);
  auto st = from ? from->try_stat(target_name) : std::nullopt;
  Dir source;
  if (st && !is_whiteout(*st)) {
    source = from->clone();
  } else {
    auto below = st ? std::nullopt : in_parent(*target);
    if (!below)
      throw Error("`" + printable(path) + "` is a link to `" + printable(*target) + "`, which is not there");
    const Dir& holder = below->first.holder(below->second);
    st = holder.stat(target_name);
    if (S_ISDIR(st->st_mode)) throw Error("`" + printable(path) + "` is a hard link to a directory");
    source = folder(target_parent).clone();
    copies_.place(holder, target_name, *st, source, *target);
    room_.wrote(static_cast<std::uint64_t>(st->st_size));
  }
  if (S_ISDIR(st->st_mode)) throw Error("`" + printable(path) + "` is a hard link to a directory");
  if (*target == path) return;
  auto [parent, name] = split_path(path);
  Dir in = folder(parent).clone();
  clear_way(in, name, path);
  if (disk::linkat(source.fd(), target_name.c_str(), in.fd(), name.c_str(), 0) != 0)
    throw_errno("cannot link `" + in.path_of(name) + "`");
}

void LayerUnpacker::put_file(const TarMember& member, const Dir& in, const std::string& name,
                             TarReader& tar) {
  Fd file = in.open_file(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
  std::string path = "`" + in.path_of(name) + "`", block(256 << 10, '\0');
  std::uint64_t size = 0;
  for (auto [at, rest] : parse_extents(member, size)) {
    if (::lseek(file.get(), static_cast<off_t>(at), SEEK_SET) < 0) throw_errno("cannot write " + path);
    while (rest > 0) {
      check_interrupted();
      std::size_t n =
          tar.read(block.data(), static_cast<std::size_t>(std::min<std::uint64_t>(rest, block.size())));
      write_all(file.get(), {block.data(), n}, path.c_str());
      rest -= n;
      content_bytes_ += n;
      room_.wrote(n);
    }
  }
  if (disk::ftruncate(file.get(), static_cast<off_t>(size)) != 0) throw_errno("cannot write " + path);
}

void LayerUnpacker::put(const TarMember& member, const std::string& path, TarReader& tar) {
  constexpr std::uint64_t kEntry = 4096;  // about what an empty one takes
  room_.wrote(kEntry);
  if (member.type == TarMember::Type::directory) return put_directory(member, path);
  if (path.empty()) throw Error("its root is no directory");
  if (member.type == TarMember::Type::hard_link) return put_link(member, path);
  struct stat st = member.as_stat();
  if (is_whiteout(st))
    throw Error("`" + printable(path) + "` is a character device 0:0, which overlay takes for a whiteout");
  auto [parent, name] = split_path(path);
  Dir in = folder(parent).clone();
  clear_way(in, name, path);
  if (member.type == TarMember::Type::regular)
    put_file(member, in, name, tar);
  else if (member.type == TarMember::Type::symlink)
    in.make_symlink(name, member.target);
  else
    in.make_node(name, st.st_mode & S_IFMT, st.st_rdev);
  set_attributes(in, name, st, xattrs_of(member, path), true);
}

/// The file that is there becomes one of its own with these attributes.
void LayerUnpacker::keep_content(const TarMember& member, const std::string& path) {
  auto [parent, name] = split_path(path);
  const Dir* found = existing_folder(parent);
  auto st = found ? found->try_stat(name) : std::nullopt;
  if (!st || !S_ISREG(st->st_mode))
    throw Error("`" + printable(path) + "` is to keep its content, but it is no file of the layer");
  Dir in = found->clone();
  if (st->st_nlink > 1) {
    Fd from = in.open_file(name, O_RDONLY | O_NONBLOCK);
    in.unlink(name);
    Fd to = in.open_file(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    copy_content(from.get(), to.get(), static_cast<std::uint64_t>(st->st_size), in.path_of(name).c_str());
    room_.wrote(static_cast<std::uint64_t>(st->st_size));
  }
  set_attributes(in, name, member.as_stat(), xattrs_of(member, path), false);
}

void LayerUnpacker::apply_layer(TarReader& tar) {
  for (TarMember member; tar.next(member);) {
    TarName name = parse_tar_name(member.name);
    require_short_names(name.path);
    switch (name.kind) {
      case TarName::Kind::ignored:
        break;
      case TarName::Kind::content:
        put(member, name.path, tar);
        break;
      case TarName::Kind::whiteout:
        hide_path(name.path, false);
        break;
      case TarName::Kind::opaque:
        if (name.path.empty())
          opaque_root_ = true;
        else
          make_opaque(kMarks, folder(name.path));
        break;
    }
  }
}

void LayerUnpacker::apply_changes(TarReader& tar) {
  for (TarMember member; tar.next(member);) {
    auto path = clean_tar_name(member.name);
    if (!path) throw Error("`" + printable(member.name) + "` leads out of its layer");
    require_short_names(*path);
    auto record = [&](const char* key) {
      auto found = member.drover.find(key);
      return found == member.drover.end() ? std::string() : found->second;
    };
    std::string mark = record(kMarkRecord);
    if (mark == kMarkGone) {
      hide_path(*path, true);
    } else if (mark == kMarkAbsent && !path->empty()) {
      auto [parent, name] = split_path(*path);
      if (const Dir* in = existing_folder(parent)) clear_way(in->clone(), name, *path);
    } else if (!mark.empty() && (mark != kMarkReplaced || member.type != TarMember::Type::directory)) {
      throw Error("`" + printable(*path) + "` has the unknown mark `" + printable(mark) + "`");
    } else if (record(kContentRecord) == kContentKept) {
      keep_content(member, *path);
    } else {
      put(member, *path, tar);
      if (member.type != TarMember::Type::directory) continue;
      bool replaced = mark == kMarkReplaced;
      if (path->empty()) {
        opaque_root_ = replaced;
        continue;
      }
      const Dir& made = folder(*path);
      if (replaced)
        make_opaque(kMarks, made);
      else if (made.xattr("", "trusted.overlay.opaque"))
        made.remove_xattr("", "trusted.overlay.opaque");
    }
  }
}

void LayerUnpacker::finish() {
  if (opaque_root_ && parent_)  // overlay knows no opaque root: each name by itself
    for (const ViewEntry& entry : parent_->root().entries()) {
      auto there = root_.try_stat(entry.name);
      if (!there)
        hide(kMarks, root_, entry.name);
      else if (S_ISDIR(there->st_mode))
        make_opaque(kMarks, root_.sub(entry.name));
    }
  folder_.reset();
  for (const auto& [path, attributes] : directories_)
    if (const Dir* dir = existing_folder(path)) {
      bool opaque = opacity(kMarks, *dir) == Opacity::opaque;
      set_attributes(*dir, "", attributes.st, attributes.xattrs, false);
      if (opaque) make_opaque(kMarks, *dir);
    }
}

}  // namespace drover
