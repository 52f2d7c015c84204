#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/sys/fd.hpp"
#include "drivers/thin_metadata.hpp"

namespace drover {

/// A file of that many bytes without a name (O_TMPFILE), which goes with its last handle.
Fd scratch_file(const std::string& place, std::uint64_t bytes);

/// Private copies of thin devices, for kernels that cannot activate them and for filesystems whose journal
/// wants replay: sparse files without a name (O_TMPFILE), so that nothing stays of them whatever happens.
/// Blocks are shared with the pool's data where the filesystem can (FICLONERANGE), else copied. A copy that
/// is no longer used is made into the next one by exchanging only the blocks in which the two devices differ,
/// which for layers of one image are few. Several threads may use one at once.
class ThinScratch {
 public:
  /// `place`: a directory on a filesystem with room, best the pool's own. `data`: the pool's data, open for
  /// reading.
  ThinScratch(std::string place, Fd data, std::uint64_t block_bytes)
      : place_(std::move(place)), data_(std::move(data)), block_bytes_(block_bytes) {}

  /// A file that holds a device. Throws SystemError.
  struct Copy {
    Fd file;
    std::vector<ThinExtent> extents;  ///< what it holds
  };
  Copy make(std::vector<ThinExtent> extents, std::uint64_t size_bytes);
  /// Gives one back that was not written to.
  void give_back(Copy);

 private:
  Copy take_nearest(const std::vector<ThinExtent>&);
  void fill(const Copy&, std::uint64_t begin, std::uint64_t data, std::uint64_t blocks) const;
  void clear(const Copy&, std::uint64_t begin, std::uint64_t blocks) const;

  std::string place_;
  Fd data_;
  std::uint64_t block_bytes_;
  std::mutex mutex_;
  std::vector<Copy> free_;
};

/// What turns a file that holds `from` into one that holds `to`: the extents to be copied, and the runs (data
/// 0) to be cleared.
struct ThinDifference {
  std::vector<ThinExtent> copied, cleared;
  std::uint64_t copied_blocks() const;
};
ThinDifference thin_difference(const std::vector<ThinExtent>& from, const std::vector<ThinExtent>& to);

}  // namespace drover
