#include "drivers/attributes.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
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

/// Where the filesystem, not its fill, is why an attribute cannot be set; empty: it is not.
std::string way_out_of_xattr(int number, std::size_t bytes) {
  constexpr std::size_t kLarge = 1000;  // ext4 has one block, with blocks of 1 KiB too, for all of a file's
  if (number == EOPNOTSUPP)
    return "this filesystem takes no such attributes (ACLs on zfs: zfs set acltype=posixacl POOL/NAME): have "
           "it take them, or choose another";
  if (number == E2BIG || number == ERANGE || (number == ENOSPC && bytes > kLarge))
    return "attributes of this size (" + std::to_string(bytes) +
           " bytes) may be more than this filesystem holds (ext4: one block a file): choose xfs or btrfs; "
           "if it is full, free some space there";
  return "";
}

void set_xattrs(const Dir& to, std::string_view name, const std::vector<Xattr>& wanted, bool fresh) {
  if (!fresh)
    for (const auto& [attribute, value] : to.xattrs(name))
      if (!is_filesystem_property(attribute) &&
          std::none_of(wanted.begin(), wanted.end(),
                       [&name_of = attribute](const Xattr& w) { return w.first == name_of; }))
        to.remove_xattr(name, attribute.c_str());
  for (const auto& [attribute, value] : wanted) try {
      to.set_xattr(name, attribute, value);
    } catch (const SystemError& e) {
      if (std::string hint = way_out_of_xattr(e.number(), value.size()); !hint.empty())
        throw SystemError("cannot set " + attribute + " on `" + to.path_of(name) + "`", e.number(), hint);
      throw;
    }
}

}  // namespace

bool is_filesystem_property(std::string_view attribute) {
  // xfs shows an ACL under a name of its own as well: it is made with the ACL itself (fs/xfs/xfs_xattr.c).
  return attribute.starts_with("btrfs.") || attribute == "trusted.SGI_ACL_FILE" ||
         attribute == "trusted.SGI_ACL_DEFAULT";
}

std::vector<Xattr> content_xattrs(const Dir& dir, std::string_view name, Marks from, Marks to,
                                  bool* other_spelling) {
  std::vector<Xattr> all = dir.xattrs(name), kept;
  for (Xattr& x : all) {
    if (is_filesystem_property(x.first)) continue;
    auto shown = shown_xattr(from, x.first);
    if (!shown && (x.first == "trusted.overlay.redirect" || x.first == "trusted.overlay.metacopy"))
      throw Error("`" + dir.path_of(name) + "` carries " + x.first + ": its content lies in another layer",
                  "this store was written with overlay's redirect_dir or metacopy switched on, which "
                  "drover does not "
                  "resolve; commit the container to an image and remove it, then migrate again");
    auto stored = shown ? stored_xattr(to, *shown) : std::nullopt;
    if (other_spelling && stored != x.first) *other_spelling = true;
    if (!shown) continue;
    if (!stored) {
      log_warning("`" + dir.path_of(name) + "`: attribute " + *shown +
                  " is left out, the target driver would take it for its own");
      continue;
    }
    kept.emplace_back(std::move(*stored), std::move(x.second));
  }
  std::sort(kept.begin(), kept.end());
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

std::uint32_t quota_project(const Dir& dir) {
  struct fsxattr attributes {};
  return ::ioctl(dir.fd(), FS_IOC_FSGETXATTR, &attributes) == 0 ? attributes.fsx_projid : 0;
}

bool same_attributes(const struct stat& a, const struct stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid &&
         ((!S_ISCHR(a.st_mode) && !S_ISBLK(a.st_mode)) || a.st_rdev == b.st_rdev) &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         (S_ISDIR(a.st_mode) || a.st_size == b.st_size);
}

}  // namespace drover
