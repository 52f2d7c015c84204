#include "migrate/archive/layer_unpacker.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

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
  // The kernel gives user attributes to nothing else; an engine passes over them (moby pkg/archive).
  const bool has_users = member.type == TarMember::Type::regular || member.type == TarMember::Type::directory;
  for (const Xattr& xattr : member.xattrs) {
    if (!has_users && xattr.first.starts_with("user."))
      log_warning("`" + printable(path) + "`: attribute " + printable(xattr.first) +
                  " is left out, this is neither file nor directory");
    else if (auto stored =
                 is_filesystem_property(xattr.first) ? std::nullopt : stored_xattr(kMarks, xattr.first))
      kept.emplace_back(std::move(*stored), xattr.second);
    else
      log_warning("`" + printable(path) + "`: attribute " + printable(xattr.first) +
                  " is left out, it is the filesystem's own");
  }
  return kept;
}

void LayerUnpacker::clear_way(const Dir& in, const std::string& name, const std::string& path) {
  auto st = in.try_stat(name);
  if (!st) return;
  // Its inode's number, too, may be that of the file that comes in its place: a look there would not tell.
  if (!is_whiteout(*st)) copies_.forget_placed();
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
    real = joined_path(real_path_, name);
    auto st = in.try_stat(name);
    bool was_hidden = st && is_whiteout(*st);
    if (st && !S_ISDIR(st->st_mode)) clear_way(in, name, path);
    if (!st || !S_ISDIR(st->st_mode)) in.make_dir(name, 0700);
    if (was_hidden) make_opaque(kMarks, in.sub(name));
  }
  note_directory(real, std::move(attributes));
}

void LayerUnpacker::put_link(const TarMember& member, const std::string& path) {
  auto target = clean_tar_name(member.target);
  if (!target || target->empty())
    throw Error("`" + printable(path) + "` links to what is outside of its layer");
  auto [target_parent, target_name] = split_path(*target);
  // As link(2) has it for an engine: the layer's symlinks lead to another folder, which may be one of below
  // alone.
  std::string missing = go_to(target_parent, false), target_folder = way_path_;
  Dir source = way_.back().dir->clone();
  auto st = source.try_stat(missing.empty() ? target_name : missing.substr(0, missing.find('/')));
  if (!missing.empty() || !st || is_whiteout(*st)) {
    bool is_hidden = st || hides_below(target_folder);
    if (!missing.empty()) target_folder = joined_path(target_folder, missing);
    auto below = is_hidden ? std::nullopt : in_parent(joined_path(target_folder, target_name));
    if (!below)
      throw Error("`" + printable(path) + "` is a link to `" + printable(*target) + "`, which is not there");
    const Dir& holder = below->first.holder(below->second);
    st = holder.stat(target_name);
    if (S_ISDIR(st->st_mode)) throw Error("`" + printable(path) + "` is a hard link to a directory");
    source = folder(target_folder).clone();
    // A file without other names is not looked for again.
    auto at = copies_.may_have_more(*st) ? copies_.folder_at(target_folder) : EntryPlacer::kRoot;
    copies_.place(holder, target_name, *st, source, at);
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
  std::string path = "`" + in.path_of(name) + "`";
  std::string block(std::clamp<std::uint64_t>(member.size, 1, 256 << 10), '\0');
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
  copies_.forget_placed();
  if (st->st_nlink > 1) {
    Fd from = in.open_regular(name);
    in.unlink(name);
    Fd to = in.open_file(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    bool may_clone = true;
    copy_content(from.get(), to.get(), static_cast<std::uint64_t>(st->st_size), in.path_of(name).c_str(),
                 may_clone);
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
  tar.know_own_records();
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
