#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "drivers/devicemapper_space.hpp"
#include "drivers/sys/dm_ioctl.hpp"
#include "drivers/sys/fd.hpp"
#include "drivers/thin_metadata.hpp"
#include "drivers/thin_pool.hpp"

namespace drover {

namespace {

std::uint64_t size_of_device(const std::string& path) {
  Fd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  off_t bytes = device ? ::lseek(device.get(), 0, SEEK_END) : 0;
  return static_cast<std::uint64_t>(bytes > 0 ? bytes : 0);
}

}  // namespace

// Of a pool's data and of what its metadata can map the engine wants a part free, and base's filesystem is in
// it.
std::optional<Space> devicemapper_space(const std::string& data_root, const DevicemapperOptions& options) {
  constexpr std::uint64_t kFilesystemShare = 40;  // ext4's inode tables and journal, of a device's size
  // The kernel's rule for a pool's metadata (thin-provisioning.rst, "Setting up a fresh pool device").
  constexpr std::uint64_t kMetadataOfABlock = 48;
  std::uint64_t base = options.base_bytes / kFilesystemShare + (128 << 20);
  auto usable = [&](std::string where, std::uint64_t total, std::uint64_t free) {
    std::uint64_t kept = total / 100 * options.min_free_percent + base;
    return Space{std::move(where), free > kept ? free - kept : 0};
  };
  auto less = [](Space a, Space b) { return a.free_bytes <= b.free_bytes ? a : b; };
  if (!options.pool.empty()) {
    std::string pool = "the thin pool `" + options.pool + "`";
    auto status = open_device_mapper() ? thin_pool_status(options.pool) : std::nullopt;
    if (!status) return Space{pool + ", which is not active", 0};
    std::uint64_t block = status->block_bytes, mapped = kThinMetadataBlock / kMetadataOfABlock * block;
    return less(
        usable(pool, status->data_blocks * block, (status->data_blocks - status->used_data_blocks) * block),
        usable("what the metadata of " + pool + " can map", status->metadata_blocks * mapped,
               (status->metadata_blocks - status->used_metadata_blocks) * mapped));
  }
  std::uint64_t metadata =
      options.metadata_device.empty() ? options.loop_metadata_bytes : size_of_device(options.metadata_device);
  std::uint64_t mapped = metadata / kMetadataOfABlock * options.block_bytes;
  Space in_metadata = usable("what a thin pool's metadata of that size can map", mapped, mapped);
  if (!options.data_device.empty()) {
    std::uint64_t size = size_of_device(options.data_device);
    return less(usable("the thin pool's data device `" + options.data_device + "`", size, size), in_metadata);
  }
  struct statvfs fs;
  if (::statvfs(data_root.c_str(), &fs) != 0) return std::nullopt;
  std::uint64_t free = static_cast<std::uint64_t>(fs.f_bavail) * fs.f_frsize;
  Space in_files{"the filesystem of `" + data_root + "`", free > base ? free - base : 0};
  Space in_pool =
      usable("a thin pool of the size of dm.loopdatasize", options.loop_data_bytes, options.loop_data_bytes);
  return less(less(in_pool, in_metadata), in_files);
}

}  // namespace drover
