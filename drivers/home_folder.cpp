#include "drivers/home_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "drivers/attributes.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

void set_owner_and_mode(const Dir& dir, mode_t mode, uid_t uid, gid_t gid) {
  if (disk::fchown(dir.fd(), uid, gid) != 0) throw_errno("cannot change the owner of `" + dir.path() + "`");
  if (disk::fchmod(dir.fd(), mode) != 0) throw_errno("cannot change the mode of `" + dir.path() + "`");
}

Dir make_folder(const Dir& in, std::string_view name, mode_t mode, uid_t uid, gid_t gid) {
  in.make_dir(name, 0700);
  Dir dir = in.sub(name);
  drop_acls(dir);
  set_owner_and_mode(dir, mode, uid, gid);
  return dir;
}

Dir ensure_folder(const Dir& in, std::string_view name, mode_t mode, uid_t uid, gid_t gid) {
  if (!in.exists(name)) return make_folder(in, name, mode, uid, gid);
  Dir dir = folder_in(in, name);
  set_owner_and_mode(dir, mode, uid, gid);
  return dir;
}

Dir folder_in(const Dir& in, std::string_view name) {
  if (auto found = in.try_sub(name)) return std::move(*found);
  if (auto link = find_symlink(in, name)) throw link->refusal();
  return in.sub(name);
}

void require_layer_id(const LayerId& id) {
  if (!is_layer_id(id)) throw Error("`" + id + "` is no layer ID");
}

std::vector<LayerId> layer_ids_in(const std::optional<Dir>& folder) {
  std::vector<LayerId> found;
  if (folder)
    for (DirEntry& entry : folder->list())
      if (is_layer_id(entry.name)) found.push_back(std::move(entry.name));
  return found;
}

HomeFolder::HomeFolder(const std::string& path)
    : above_(path.substr(0, path.rfind('/'))), name_(path.substr(path.rfind('/') + 1)) {
  // With a slash after it, a symlink would be followed.
  if (name_.empty() || name_ == "." || name_ == "..") throw Error("`" + path + "` names no home");
}

Dir HomeFolder::open() const {
  if (auto home = try_open()) return std::move(*home);
  return folder_in(above(), name_);
}

std::optional<Dir> HomeFolder::try_open() const {
  // In one call, since each question about a layer begins with it: O_NOFOLLOW is about the last name alone.
  std::string path = path_of("");
  Fd home(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (home) return Dir(std::move(home), std::move(path));
  if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return std::nullopt;
  throw_errno("cannot open `" + path + "`");
}

std::optional<Dir> HomeFolder::try_sub(std::string_view name) const {
  auto home = try_open();
  return home ? home->try_sub(name) : std::nullopt;
}

std::string HomeFolder::path_of(std::string_view name) const {
  std::string path = above_ + "/" + name_;
  return name.empty() ? path : path + "/" + std::string(name);
}

std::optional<Symlink> HomeFolder::find_symlink(std::initializer_list<std::string> paths) const {
  auto home = try_open();
  if (!home) {
    auto in = Dir::try_open(above_);
    return in ? drover::find_symlink(*in, name_) : std::nullopt;
  }
  for (const std::string& path : paths)
    if (auto link = drover::find_symlink(*home, path)) return link;
  return std::nullopt;
}

void HomeFolder::remove() const {
  if (auto in = Dir::try_open(above_)) in->remove_tree(name_);
}

Dir HomeFolder::ensure(mode_t mode, uid_t uid, gid_t gid) const {
  return ensure_folder(above(), name_, mode, uid, gid);
}

}  // namespace drover
