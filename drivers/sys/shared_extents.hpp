#pragma once
#include <sys/stat.h>

#include <optional>
#include <utility>

namespace drover {

/// Tells of files of one filesystem that they lie in the very same extents, as reflinks do: then they have
/// the same bytes, and none need be read. (FIEMAP: Documentation/filesystems/fiemap.rst of the kernel.)
class SharedExtents {
 public:
  /// Whether two open regular files of the same size are such. "No" says nothing of their content: so it is
  /// where the filesystem cannot share, does not say where its extents are, or keeps them in a form of its
  /// own (inline, compressed).
  bool same(int a, const struct stat& st_a, int b, const struct stat& st_b);

 private:
  bool shares(int file, dev_t filesystem);
  std::optional<std::pair<dev_t, bool>> known_;  ///< of the filesystem that was asked last
};

}  // namespace drover
