#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/sys/dir.hpp"

namespace drover::test {

/// One entry of a made-up layer.
struct SampleEntry {
  enum class Kind { directory, opaque_directory, file, symlink, hard_link, fifo, whiteout };
  Kind kind;
  std::string path;  ///< relative, without a slash at its end
  std::string data;  ///< a file's content, a link's target
  mode_t mode = 0755;
  uid_t uid = 0;
  gid_t gid = 0;
  std::int64_t mtime_s = 1'700'000'000;
};

SampleEntry directory(std::string path, mode_t mode = 0755);
SampleEntry opaque_directory(std::string path, mode_t mode = 0755);
SampleEntry file(std::string path, std::string content, mode_t mode = 0644);
SampleEntry symlink_to(std::string path, std::string target);
SampleEntry hard_link_to(std::string path, std::string target);
SampleEntry fifo(std::string path);
SampleEntry whiteout(std::string path);

/// The layer's tar as an image holds it, whiteouts as ".wh." files. The same entries give the same bytes.
std::string make_tar(const std::vector<SampleEntry>& entries);

/// The layer's files below `root`, marked as the kernel's overlayfs does. Only as root.
void put_files(const Dir& root, const std::vector<SampleEntry>& entries);

}  // namespace drover::test
