#pragma once
#include <sys/types.h>

#include <string>

#include "drivers/sys/fd.hpp"

namespace drover {

/// A file as a block device. The kernel takes it apart (LO_FLAGS_AUTOCLEAR) once nobody has it open any more:
/// neither this, nor a filesystem or a device on it; so nothing stays of it even if drover is killed.
class LoopDevice {
 public:
  /// Throws SystemError. `what`: the file's path, for messages and for losetup to show.
  static LoopDevice attach(int file, bool read_only, const std::string& what);

  const std::string& path() const noexcept { return path_; }  ///< "/dev/loop3"
  dev_t device() const noexcept { return device_; }

 private:
  LoopDevice(Fd fd, std::string path, dev_t device)
      : fd_(std::move(fd)), path_(std::move(path)), device_(device) {}
  Fd fd_;
  std::string path_;
  dev_t device_;
};

}  // namespace drover
