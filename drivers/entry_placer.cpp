#include "drivers/entry_placer.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/attributes.hpp"
#include "drivers/sys/copy_content.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"

namespace drover {

namespace {
// A group must not run into the filesystem's limit of links (65000 on ext4, 65535 on btrfs) half-way, so the
// first of its names decides for all: where the inode has this many already it is copied once, and its names
// in the target are linked to the copy.
constexpr nlink_t kManyLinks = 30000;
}  // namespace

void EntryPlacer::check_holdable(const Dir& from, std::string_view name, const struct stat& st) const {
  if (!can_hold_name(to_, name))
    throw Error("`" + from.path_of(name) +
                    "` has a name that the target driver cannot hold: it would be a whiteout, or "
                    "is too long to be hidden by one",
                "choose another driver, or rename the file and try again");
  if (!can_hold_null_device(to_) && S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
    throw Error("`" + from.path_of(name) +
                    "` is a character device 0:0, which the target driver would take for a whiteout",
                "choose a driver that keeps whole trees (drover select --explain), or remove the device");
}

void EntryPlacer::place(const Dir& from, std::string_view name, const struct stat& st, const Dir& to,
                        Folder folder) {
  check_interrupted();
  check_holdable(from, name, st);
  if (st.st_nlink > 1 && link_to_placed(st, to, folder, name)) return;
  bool other_spelling = false;
  std::vector<Xattr> xattrs = content_xattrs(from, name, from_, to_, &other_spelling);
  // An inode that carries a driver's own marks would take them along.
  if (!may_link_ || other_spelling || !try_link(from, name, st, to)) {
    create(from, name, st, to);
    set_attributes(to, name, st, xattrs, true);
  }
  if (st.st_nlink < 2) return;
  if (memory_.is_to_forget(placed_.size()))
    std::erase_if(placed_, [&](const auto& placed) { return !memory_.wants(placed.first.second); });
  if (!memory_.wants(st.st_ino)) return;
  placed_.insert_or_assign({st.st_dev, st.st_ino}, Placed{folder, std::string(name)});
  kept_ = std::max(kept_, folder);
}

EntryPlacer EntryPlacer::for_other_thread() const {
  EntryPlacer other(root_, from_, to_, may_link_);
  other.may_clone_ = may_clone_;
  return other;
}

EntryPlacer::Folder EntryPlacer::enter(Folder above, std::string_view name) {
  folders_.push_back({above, std::string(name)});
  return folders_.size() - 1;
}

void EntryPlacer::leave(Folder folder) {
  // What was entered later is gone already, or one of those below is needed.
  if (folder + 1 != folders_.size() || folder <= kept_) return;
  folders_.pop_back();
  // The number will be another directory's.
  if (opened_.first == folder) opened_ = {kRoot, {}};
}

EntryPlacer::Folder EntryPlacer::folder_at(std::string_view path) {
  Folder folder = kRoot;
  while (!path.empty()) {
    std::size_t cut = std::min(path.find('/'), path.size());
    auto [known, is_new] = by_path_.try_emplace({folder, std::string(path.substr(0, cut))});
    if (is_new) known->second = enter(folder, known->first.second);
    folder = known->second;
    path.remove_prefix(std::min(cut + 1, path.size()));
  }
  return folder;
}

void EntryPlacer::forget_placed() {
  placed_.clear();
  folders_.resize(1);
  by_path_.clear();
  kept_ = kRoot;
  opened_ = {kRoot, {}};
}

const EntryPlacer::Placed* EntryPlacer::first_placed(const struct stat& st) const {
  auto first = placed_.find({st.st_dev, st.st_ino});
  return first == placed_.end() ? nullptr : &first->second;
}

TrailDir EntryPlacer::open(Folder folder) const {
  // The names of a group often are all in one directory.
  if (folder == opened_.first && opened_.second.is_open()) return opened_.second;
  std::vector<Folder> way;
  for (Folder at = folder; at != kRoot; at = folders_[at].above) way.push_back(at);
  std::string path;
  for (auto at = way.rbegin(); at != way.rend(); ++at) path += folders_[*at].name + "/";
  opened_ = {folder, TrailDir(root_.walk(path))};
  return opened_.second;
}

bool EntryPlacer::is_placed(const struct stat& st, const Dir& to, std::string_view name) const {
  const Placed* first = st.st_nlink > 1 ? first_placed(st) : nullptr;
  if (!first) return false;
  struct stat made = open(first->folder)->stat(first->name), there = to.stat(name);
  return made.st_dev == there.st_dev && made.st_ino == there.st_ino;
}

bool EntryPlacer::link_to_placed(const struct stat& st, const Dir& to, Folder folder, std::string_view name) {
  const Placed* first = first_placed(st);
  if (!first) return false;
  TrailDir other = first->folder == folder ? TrailDir() : open(first->folder);
  const Dir& in = other.is_open() ? *other : to;
  if (disk::linkat(in.fd(), first->name.c_str(), to.fd(), std::string(name).c_str(), 0) == 0) return true;
  if (errno == EMLINK)
    throw Error("cannot link `" + to.path_of(name) + "`: one file has more names (" +
                    std::to_string(st.st_nlink) + ") than the target's filesystem can give it",
                "choose a filesystem with a higher limit (xfs), or remove some of the names");
  throw_errno("cannot link `" + to.path_of(name) + "`");
}

bool EntryPlacer::try_link(const Dir& from, std::string_view name, const struct stat& st, const Dir& to) {
  if (st.st_nlink >= kManyLinks) return false;
  std::string n(name);
  if (disk::linkat(from.fd(), n.c_str(), to.fd(), n.c_str(), 0) == 0) {
    ++(S_ISREG(st.st_mode) ? count_.linked : count_.others);
    return true;
  }
  if (errno == EXDEV)
    may_link_ = false;  // another filesystem or mount: so will be all the others
  else if (errno != EMLINK && errno != EPERM)
    throw_errno("cannot link `" + to.path_of(name) + "`");
  return false;
}

void EntryPlacer::create(const Dir& from, std::string_view name, const struct stat& st, const Dir& to) {
  if (S_ISREG(st.st_mode)) {
    Fd source = from.open_regular(name, O_RDONLY | O_NOATIME);
    struct stat opened;
    if (::fstat(source.get(), &opened) != 0 || opened.st_ino != st.st_ino || opened.st_dev != st.st_dev)
      throw Error("`" + from.path_of(name) + "` changed while it was read",
                  "an engine is at work there, or another program: stop it, or try again");
    Fd target = to.open_file(name, O_WRONLY | O_CREAT | O_EXCL, st.st_mode & 0777);
    auto size = static_cast<std::uint64_t>(st.st_size);
    if (copy_content(source.get(), target.get(), size, from.path_of(name).c_str(), may_clone_) ==
        ContentCopy::reflink) {
      ++count_.reflinked;
    } else {
      ++count_.copied;
      count_.copied_bytes += size;
    }
    return;
  }
  if (S_ISLNK(st.st_mode))
    to.make_symlink(name, from.read_link(name));
  else
    to.make_node(name, st.st_mode & S_IFMT, st.st_rdev);
  ++count_.others;
}

}  // namespace drover
