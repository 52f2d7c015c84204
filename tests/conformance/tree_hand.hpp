#pragma once
#include <sys/types.h>

#include <set>
#include <string>
#include <string_view>

#include "drivers/sys/dir.hpp"

namespace drover::test {

/// Changes a tree as programs in a container do, through a mount or in a plain folder; the same calls give
/// the same tree. Paths are relative to the root, "" is the root. Throws Error where a call fails.
class TreeHand {
 public:
  /// `longest_name`: of what long_name() makes.
  TreeHand(const Dir& root, std::size_t longest_name) : root_(root), longest_name_(longest_name) {}

  void folder(const std::string& path, mode_t mode = 0755);
  void file(const std::string& path, std::string_view content, mode_t mode = 0644);
  /// A file of this size with a few bytes in the middle and at the end, and holes around them.
  void sparse(const std::string& path, off_t size);
  void append(const std::string& path, std::string_view more);
  void symlink(const std::string& path, const std::string& target);
  void link(const std::string& from, const std::string& path);
  void node(const std::string& path, mode_t type_and_mode, dev_t device = 0);
  void own(const std::string& path, uid_t uid, gid_t gid);
  void mode(const std::string& path, mode_t mode);
  void attribute(const std::string& path, const std::string& name, std::string_view value);
  void forget_attribute(const std::string& path, const char* name);
  void remove(const std::string& path);
  void rename(const std::string& from, const std::string& to);

  /// "x" followed by as much of `letter` as a name may have.
  std::string long_name(char letter) const { return "x" + std::string(longest_name_ - 1, letter); }

  /// Gives all that was changed, and the folders around it, a modification time that follows from the path:
  /// some before 1970, all with nanoseconds. To be called last.
  void settle();

 private:
  struct Place {
    Dir in;
    std::string name;
  };
  Place touch(const std::string& path);
  Place find(const std::string& path) const;
  const Dir& root_;
  std::size_t longest_name_;
  std::set<std::string> touched_{""};
};

}  // namespace drover::test
