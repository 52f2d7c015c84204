#pragma once
#include <sys/stat.h>
#include <cstdint>

#include <string_view>
#include <vector>

#include "drivers/marks.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// What is carried of an entry besides its name and content: owner, mode, times and extended attributes.

/// The attributes that are content under `from` marks, as `to` marks store them; sorted. One that `to` marks
/// would take for its own book-keeping cannot be kept: it is left out with a warning. Throws Error for an
/// attribute that says the content is elsewhere (overlay's redirect and metacopy). `other_spelling`, if
/// given, is set when the entry's own attributes are not these: an inode that is shared would show others.
std::vector<Xattr> content_xattrs(const Dir&, std::string_view name, Marks from, Marks to,
                                  bool* other_spelling = nullptr);

/// Sets owner, extended attributes, mode and times (to the nanosecond) of `name` in `to` ("" is the directory
/// itself), in the order in which none undoes another. `fresh`: it was just made, so it has no attributes to
/// remove.
void set_attributes(const Dir& to, std::string_view name, const struct stat&, const std::vector<Xattr>&,
                    bool fresh);

/// The ACL that a directory gives to what is made in it.
constexpr const char* kDefaultAcl = "system.posix_acl_default";

/// Takes the ACLs of a directory away: whatever is made in one with a default ACL gets that, and a fresh
/// entry is to have nothing but what it is given. To be called before the directory is filled, for one that
/// was made where others' folders are, and for one that is kept until it gets its own attributes.
void drop_acls(const Dir&);

/// Attributes that say something of the filesystem, not of the file (btrfs lists its properties as such, xfs
/// its own form of an ACL).
bool is_filesystem_property(std::string_view attribute);

/// The project of a quota (ext4, xfs) that a directory is of, 0 for none: what is of one cannot be renamed
/// into another's.
std::uint32_t quota_project(const Dir&);

/// Whether two entries agree in type, mode, owner, device number, modification time and, for anything but a
/// directory, size.
bool same_attributes(const struct stat&, const struct stat&);

}  // namespace drover
