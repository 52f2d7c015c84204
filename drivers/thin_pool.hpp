#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "drivers/sys/dm_ioctl.hpp"
#include "drivers/sys/fd.hpp"
#include "drivers/sys/loop_device.hpp"

namespace drover {

/// What an active pool says of itself (Documentation/admin-guide/device-mapper/thin-provisioning.rst,
/// "Status").
struct ThinPoolStatus {
  std::uint64_t transaction_id = 0;
  std::uint64_t used_metadata_blocks = 0, metadata_blocks = 0;
  std::uint64_t used_data_blocks = 0, data_blocks = 0;
  std::uint64_t block_bytes = 0;
  std::string mode;  ///< "rw", "ro", "out_of_data_space", or "Fail"
  bool needs_check = false;
};

/// A pool's file is on one loop device at a time: waits until no other drover's pool has it, and takes it for
/// as long as this file is open, here or by a loop device. `how`: LOCK_EX or LOCK_SH. Throws Error (in_use).
void lock_pool_file(const Fd& file, const std::string& path, int how);

/// Nothing if there is no device of this name; throws Error if it is no thin pool.
std::optional<ThinPoolStatus> thin_pool_status(const std::string& name);

/// An active thin pool: one that is there already, or one of drover's own on files or devices, which goes
/// away with this. Throws SystemError where device-mapper refuses.
class ThinPool {
 public:
  static ThinPool use(const std::string& name);
  /// Where a pool's data and metadata lie: files are attached to loop devices. Metadata that begins with
  /// zeros is a new pool's. A full pool answers with an error and does not wait for more room, as the
  /// engine's would.
  struct Place {
    Fd file;
    std::string path;
  };
  static ThinPool make(Place data, Place metadata, std::uint64_t block_bytes);

  const std::string& name() const noexcept { return name_; }
  ThinPoolStatus status() const;
  void create(std::uint32_t device) const;
  void snapshot(std::uint32_t device, std::uint32_t origin) const;  ///< the origin is not being written to
  void remove(std::uint32_t device) const;                          ///< gone already is success
  void set_transaction_id(std::uint64_t from, std::uint64_t to) const;
  DmDevice activate(std::uint32_t device, std::uint64_t size_bytes, bool read_only) const;

  /// Throws Error that names what the pool lacks, if it takes no more writes.
  void require_room() const;
  /// Takes a pool of our own apart; returns once it is gone.
  static void release(ThinPool);

 private:
  ThinPool() = default;
  std::string name_, number_;
  std::vector<LoopDevice> loops_;
  std::optional<DmDevice> own_;
};

}  // namespace drover
