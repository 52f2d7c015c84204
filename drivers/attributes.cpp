#include "drivers/attributes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"

namespace drover {

namespace {

[[noreturn]] void fail(const char* verb, const Dir& dir, std::string_view name) {
  throw_errno(std::string("cannot ") + verb + " `" + dir.path_of(name) + "`");
}

void set_xattrs(const Dir& to, std::string_view name, const std::vector<Xattr>& wanted, bool fresh) {
  if (!fresh)
    for (const auto& [attribute, value] : to.xattrs(name))
      if (!is_filesystem_property(attribute) &&
          std::none_of(wanted.begin(), wanted.end(),
                       [&name_of = attribute](const Xattr& w) { return w.first == name_of; }))
        to.remove_xattr(name, attribute.c_str());
  for (const auto& [attribute, value] : wanted) to.set_xattr(name, attribute, value);
}

}  // namespace

bool is_filesystem_property(std::string_view attribute) {
  // xfs shows an ACL under a name of its own as well: it is made with the ACL itself (fs/xfs/xfs_xattr.c).
  return attribute.starts_with("btrfs.") || attribute == "trusted.SGI_ACL_FILE" ||
         attribute == "trusted.SGI_ACL_DEFAULT";
}

std::vector<Xattr> content_xattrs(const Dir& dir, std::string_view name, Marks from, Marks to,
                                  bool* left_out) {
  std::vector<Xattr> all = dir.xattrs(name), kept;
  for (Xattr& x : all) {
    bool ours = is_bookkeeping_xattr(from, x.first), theirs = is_bookkeeping_xattr(to, x.first);
    if (left_out && (ours || theirs)) *left_out = true;
    if (ours) {
      if (x.first == "trusted.overlay.redirect" || x.first == "trusted.overlay.metacopy")
        throw Error("`" + dir.path_of(name) + "` carries " + x.first + ": its content lies in another layer",
                    "this store was written with overlay's redirect_dir or metacopy switched on, which "
                    "drover does not "
                    "resolve; commit the container to an image and remove it, then migrate again");
      continue;
    }
    if (is_filesystem_property(x.first)) continue;
    if (theirs) {
      log_warning("`" + dir.path_of(name) + "`: attribute " + x.first +
                  " is left out, the target driver would take it for its own");
      continue;
    }
    kept.push_back(std::move(x));
  }
  return kept;
}

void set_attributes(const Dir& to, std::string_view name, const struct stat& st,
                    const std::vector<Xattr>& xattrs, bool fresh) {
  std::string n = name.empty() ? "." : std::string(name);
  struct stat there = name.empty() ? to.stat() : to.stat(name);
  // chown clears setuid bits and security.capability, an ACL changes the mode, and all of them the times.
  bool owner = there.st_uid != st.st_uid || there.st_gid != st.st_gid;
  if (owner && disk::fchownat(to.fd(), n.c_str(), st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
    fail("change the owner of", to, name);
  set_xattrs(to, name, xattrs, fresh);
  bool mode = owner || !fresh || !xattrs.empty() || ((there.st_mode ^ st.st_mode) & 07777) != 0;
  if (mode && !S_ISLNK(st.st_mode) && disk::fchmodat(to.fd(), n.c_str(), st.st_mode & 07777, 0) != 0)
    fail("change the mode of", to, name);
  const timespec times[2] = {st.st_atim, st.st_mtim};
  if (disk::utimensat(to.fd(), n.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    fail("set the times of", to, name);
}

void drop_acls(const Dir& dir) {
  for (const char* acl : {kDefaultAcl, "system.posix_acl_access"})
    if (dir.xattr("", acl)) dir.remove_xattr("", acl);
}

bool same_attributes(const struct stat& a, const struct stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid &&
         ((!S_ISCHR(a.st_mode) && !S_ISBLK(a.st_mode)) || a.st_rdev == b.st_rdev) &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         (S_ISDIR(a.st_mode) || a.st_size == b.st_size);
}

}  // namespace drover
