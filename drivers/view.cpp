#include "drivers/view.hpp"

#include <dirent.h>
#include <limits.h>

#include <algorithm>
#include <unordered_set>

#include "drivers/sys/beneath.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {
constexpr int kMostSymlinks = 40;  // as the kernel's MAXSYMLINKS

/// Opens what an O_PATH descriptor stands for, if it is a regular file: to open a device node would be to act
/// on it.
std::optional<Fd> open_if_regular(const Fd& path) {
  struct stat st;
  if (!path || ::fstat(path.get(), &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  Fd fd(::open(("/proc/self/fd/" + std::to_string(path.get())).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw_errno("cannot open a file of a layer");
  return fd;
}
}  // namespace

bool ViewDir::add(unsigned layer, Dir dir) {
  Opacity o = opacity(marks_, dir);
  parts_.push_back({layer, TrailDir(std::move(dir)), o});
  return o != Opacity::opaque;
}

std::vector<ViewEntry> ViewDir::entries(std::vector<std::string>* hidden_here) const {
  std::vector<ViewEntry> shown;
  // Names that an upper part shows or hides. With one part, which is every tree, nothing needs remembering.
  std::unordered_set<std::string> taken;
  bool single = parts_.size() == 1;
  for (const Part& part : parts_) {
    std::vector<std::string> hidden;
    for (DirEntry& entry : part.dir->list()) {
      if (marks_ == Marks::none) {
        shown.push_back({std::move(entry.name), part.layer});
        continue;
      }
      DecodedEntry decoded = decode(marks_, *part.dir, entry, part.opacity);
      if (decoded.role == EntryRole::whiteout) hidden.push_back(std::move(decoded.hides));
      if (decoded.role != EntryRole::content) continue;
      if (single)
        shown.push_back({std::move(entry.name), part.layer});
      else if (taken.insert(entry.name).second)
        shown.push_back({std::move(entry.name), part.layer});
    }
    // A whiteout hides what is below, not what stands beside it in the same layer.
    if (!single)
      taken.insert(hidden.begin(), hidden.end());
    else if (hidden_here)
      *hidden_here = std::move(hidden);
  }
  std::sort(shown.begin(), shown.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return shown;
}

std::optional<ViewEntry> ViewDir::find(std::string_view name) const {
  for (const Part& part : parts_) {
    if (auto st = part.dir->try_stat(name)) {
      DirEntry entry{std::string(name), static_cast<unsigned char>(IFTODT(st->st_mode)), st->st_ino};
      if (decode(marks_, *part.dir, entry, part.opacity).role != EntryRole::content) return std::nullopt;
      return ViewEntry{entry.name, part.layer};
    }
    if (has_named_whiteout(marks_, *part.dir, name)) return std::nullopt;
  }
  return std::nullopt;
}

const Dir& ViewDir::holder(const ViewEntry& entry) const {
  for (const Part& part : parts_)
    if (part.layer == entry.layer) return *part.dir;
  throw Error("`" + entry.name + "` is not of `" + top().path() + "`");
}

ViewDir ViewDir::sub(const ViewEntry& entry) const {
  ViewDir child(marks_);
  for (const Part& part : parts_) {
    if (part.layer < entry.layer) continue;
    if (auto st = part.dir->try_stat(entry.name)) {
      // Anything but a directory, a whiteout included, hides what is below.
      if (!S_ISDIR(st->st_mode)) break;
      if (!child.add(part.layer, part.dir->sub(entry.name))) break;
    }
    if (has_named_whiteout(marks_, *part.dir, entry.name)) break;
  }
  if (child.parts_.empty()) throw_errno("cannot open `" + holder(entry).path_of(entry.name) + "`", ENOTDIR);
  return child;
}

const ViewDir::Part* ViewDir::part_of(unsigned layer) const {
  // Sorted by layer.
  auto at = std::lower_bound(parts_.begin(), parts_.end(), layer,
                             [](const Part& part, unsigned wanted) { return part.layer < wanted; });
  return at != parts_.end() && at->layer == layer ? &*at : nullptr;
}

void ViewDir::let_go(const ViewDir& below) {
  for (Part& part : parts_)
    if (below.part_of(part.layer)) part.dir.let_go();
}

void ViewDir::reach_from(const ViewDir& below) {
  for (Part& part : parts_)
    if (const Part* from = part.dir.is_open() ? nullptr : below.part_of(part.layer))
      part.dir.reach_from(from->dir);
}

View::View(const Driver& driver, const LayerId& id) : marks_(driver.marks()) {
  for (const LayerId& layer : driver.stack(id)) layers_.push_back(driver.open(layer));
}

ViewDir View::root() const {
  ViewDir root(marks_);
  for (unsigned i = 0; i < layers_.size(); ++i)
    if (!root.add(i, layers_[i].root.clone()) && opaque_root_hides(marks_)) break;
  return root;
}

std::optional<Fd> View::open(const std::string& path) const {
  const Dir& top = layers_.front().root;
  // Nearly every file asked for is the top layer's own.
  Fd own(open_beneath(top.fd(), path.c_str(), O_PATH | O_NOFOLLOW));
  if (auto fd = open_if_regular(own)) return fd;

  if (path.size() >= PATH_MAX) return std::nullopt;  // as the kernel has it, whatever the path names
  struct Level {
    ViewDir dir;
    void let_go(const Level& below) { dir.let_go(below.dir); }
    void reach_from(const Level& below) { dir.reach_from(below.dir); }
  };
  ViewTrail<Level> at;  // from the root to where we are: ".." goes back
  at.push({root()});
  std::string rest = path;
  for (int symlinks = 0; !rest.empty();) {
    std::size_t cut = std::min(rest.find('/'), rest.size());
    std::string name = rest.substr(0, cut);
    rest.erase(0, std::min(cut + 1, rest.size()));
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (at.size() > 1) at.pop();
      continue;
    }
    if (name.size() > NAME_MAX) return std::nullopt;
    auto entry = at.back().dir.find(name);
    if (!entry) return std::nullopt;
    const Dir& holder = at.back().dir.holder(*entry);
    struct stat st = holder.stat(name);
    if (S_ISLNK(st.st_mode)) {
      if (++symlinks > kMostSymlinks) return std::nullopt;
      std::string target = holder.read_link(name);
      if (target.starts_with('/')) {
        at.clear();
        at.push({root()});
      }
      rest = target + "/" + rest;
    } else if (S_ISDIR(st.st_mode)) {
      at.push({at.back().dir.sub(*entry)});
    } else if (rest.find_first_not_of('/') == std::string::npos) {
      return open_if_regular(holder.open_file(name, O_PATH));
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<RepeatedInodes> View::repeated_inodes() const {
  std::vector<const Dir*> roots;
  for (const OpenLayer& layer : layers_) roots.push_back(&layer.root);
  return RepeatedInodes::read(roots);
}

}  // namespace drover
