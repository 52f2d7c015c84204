#include "drivers/home_folder.hpp"

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
  Dir dir = in.sub(name);
  set_owner_and_mode(dir, mode, uid, gid);
  return dir;
}

Dir folder_above(const std::string& home) { return Dir::open(home.substr(0, home.rfind('/'))); }

std::string name_of(const std::string& home) { return home.substr(home.rfind('/') + 1); }

void require_layer_id(const LayerId& id) {
  if (!is_layer_id(id)) throw Error("`" + id + "` is no layer ID");
}

std::optional<Symlink> find_symlink_in(const std::string& home, std::initializer_list<std::string> paths) {
  auto dir = Dir::try_open(home);
  if (dir)
    for (const std::string& path : paths)
      if (auto link = find_symlink(*dir, path)) return link;
  return std::nullopt;
}

std::vector<LayerId> layer_ids_in(const std::string& folder) {
  std::vector<LayerId> found;
  if (auto dir = Dir::try_open(folder))
    for (DirEntry& entry : dir->list())
      if (is_layer_id(entry.name)) found.push_back(std::move(entry.name));
  return found;
}

}  // namespace drover
