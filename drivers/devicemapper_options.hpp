#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/home_folder.hpp"

namespace drover {

/// The engine's storage-opts that concern devicemapper (moby daemon/graphdriver/devmapper, NewDeviceSet),
/// with its defaults. Those that matter to a running engine only (dm.mountopt, dm.use_deferred_removal, ...)
/// are its affair.
struct DevicemapperOptions {
  std::uint64_t base_bytes = 10ULL << 30;          ///< dm.basesize
  std::uint64_t loop_data_bytes = 100ULL << 30;    ///< dm.loopdatasize
  std::uint64_t loop_metadata_bytes = 2ULL << 30;  ///< dm.loopmetadatasize
  std::uint64_t block_bytes = 64ULL << 10;         ///< dm.blocksize, of a pool that is made
  std::string filesystem;                    ///< dm.fs: "ext4" or "xfs"; empty: xfs where it can be made
  std::vector<std::string> mkfs_arguments;   ///< dm.mkfsarg
  std::string pool;                          ///< dm.thinpooldev without /dev/mapper/; empty: none
  std::string data_device, metadata_device;  ///< dm.datadev, dm.metadatadev; empty: files in the home
  unsigned min_free_percent = 10;            ///< dm.min_free_space
  bool on_pool_of_lvm() const { return !pool.empty(); }
  /// Whether the pool is on loop files, which is slow.
  bool on_loop_files() const { return pool.empty() && (data_device.empty() || metadata_device.empty()); }
};

/// Throws Error (usage) for a value that the engine would not take.
DevicemapperOptions parse_devicemapper_options(const std::vector<std::string>& storage_opts);
/// The same for a home that may be there already: one whose pool the engine has made with LVM says so by
/// itself.
DevicemapperOptions devicemapper_options_of(const HomeFolder& home,
                                            const std::vector<std::string>& storage_opts);

}  // namespace drover
