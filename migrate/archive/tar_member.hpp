#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/sys/dir.hpp"

namespace drover {

/// One entry of a tar (POSIX.1-2008 pax over ustar, with what GNU tar and Go write): everything but its
/// content. Names are bytes.
struct TarMember {
  enum class Type { regular, hard_link, symlink, directory, character, block, fifo, socket };
  std::string name;
  Type type = Type::regular;
  std::string target;  ///< of a symlink or a hard link
  mode_t mode = 0;     ///< the lower twelve bits
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime{};
  std::uint64_t size = 0;  ///< of the content that follows; 0 for all but regular files
  dev_t device = 0;
  std::vector<Xattr> xattrs;  ///< sorted by name ("SCHILY.xattr." records)
  std::map<std::string, std::string>
      drover;  ///< our own records, by their names behind "DROVER."; see TarReader

  /// As lstat shows it; its times are the modification time, its number of links is 1.
  struct stat as_stat() const;
};

/// The member for an entry on disk of this name; without attributes, target and content.
TarMember member_of(std::string name, const struct stat&);

/// Of one name in an archive: a process reaches no longer one than 4096 bytes, but makes directories that are
/// deeper than that.
constexpr std::size_t kLongestTarPath = 64 << 10;
constexpr std::size_t kTarBlock = 512;
/// How many zero bytes follow content of this size.
constexpr std::size_t tar_padding(std::uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

/// The headers of a member: the same member gives the same bytes. What ustar cannot say is a pax header
/// before it.
std::string tar_headers(const TarMember&);
/// The end of a tar.
std::string tar_end();

}  // namespace drover
