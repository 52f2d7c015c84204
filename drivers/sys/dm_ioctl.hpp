#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/sys/fd.hpp"

namespace drover {

constexpr std::uint64_t kDmSector = 512;

/// One line of a device-mapper table: `sectors` from `begin` on are served by `type`.
struct DmTarget {
  std::uint64_t begin = 0, sectors = 0;
  std::string type, parameters;
};

/// Device-mapper by its ioctl interface (linux/dm-ioctl.h), one function a command. All throw SystemError.

/// "7:3", as tables name a device.
std::string device_number(dev_t);

/// Opens /dev/mapper/control. Nothing, with errno, where this kernel has no device-mapper.
std::optional<Fd> open_device_mapper();

/// Whether it has this target, whose module is loaded for that if need be.
bool dm_has_target(int control, const char* target);

/// The lines of a device's status, or of its table; nothing if there is no device of this name.
std::optional<std::vector<DmTarget>> dm_status(const std::string& name);
std::optional<std::vector<DmTarget>> dm_table(const std::string& name);

/// "253:3", as tables name a device; nothing if there is no device of this name.
std::optional<std::string> dm_number(const std::string& name);

/// Sends a message to the target at the device's first sector.
void dm_message(const std::string& name, const std::string& message);

/// A device that drover makes for itself. It is marked for removal as soon as it exists (deferred remove,
/// Linux 3.13), so that the kernel removes it once nobody has it open: neither this, nor a filesystem or a
/// device on it. Its name says whose it is: remove_stale_dm_devices() finds what was killed before the mark
/// was set.
class DmDevice {
 public:
  /// `purpose` becomes part of the name.
  static DmDevice make(std::string_view purpose, const std::vector<DmTarget>& table, bool read_only);
  DmDevice(DmDevice&&) noexcept = default;
  DmDevice& operator=(DmDevice&&) noexcept = default;
  /// Lets go of it: gone at once, or when its last user is.
  ~DmDevice() = default;

  const std::string& name() const noexcept { return name_; }
  const std::string& path() const noexcept { return path_; }  ///< "/dev/dm-3"
  dev_t device() const noexcept { return device_; }
  int fd() const noexcept { return fd_.get(); }
  std::string number() const { return device_number(device_); }

 private:
  DmDevice() = default;
  std::string name_, path_;
  dev_t device_ = 0;
  Fd fd_;
};

/// Waits until the kernel has removed devices that DmDevice made and that were let go of. Throws Error
/// (in_use) if one is still there after a while.
void await_dm_removal(const std::vector<std::string>& names);

/// Removes what a drover that was killed has left.
void remove_stale_dm_devices();

}  // namespace drover
