#include "drivers/sys/loop_device.hpp"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr int kTries = 100;

/// Binds a free loop device to the file in one step (LOOP_CONFIGURE, Linux 5.8), so that it never exists
/// without its flags; in two where the kernel is older.
bool configure(int loop, int file, std::uint32_t flags, const std::string& what) {
  loop_config config{};
  config.fd = static_cast<std::uint32_t>(file);
  config.info.lo_flags = flags;
  std::string name = what.size() < LO_NAME_SIZE ? what : what.substr(what.size() - LO_NAME_SIZE + 1);
  std::copy(name.begin(), name.end(), config.info.lo_file_name);
  if (::ioctl(loop, LOOP_CONFIGURE, &config) == 0) return true;
  if (errno != EINVAL && errno != ENOTTY) return false;
  if (::ioctl(loop, LOOP_SET_FD, file) != 0) return false;
  if (::ioctl(loop, LOOP_SET_STATUS64, &config.info) == 0) return true;
  int error = errno;
  ::ioctl(loop, LOOP_CLR_FD, 0);
  errno = error;
  return false;
}

}  // namespace

LoopDevice LoopDevice::attach(int file, bool read_only, const std::string& what) {
  constexpr const char* kControl = "/dev/loop-control";
  Fd control(::open(kControl, O_RDWR | O_CLOEXEC));
  if (!control) throw SystemError(std::string("cannot open `") + kControl + "`", errno);
  std::uint32_t flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0);
  for (int i = 0; i < kTries; ++i) {
    int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) throw_errno("cannot get a free loop device");
    std::string path = "/dev/loop" + std::to_string(number);
    Fd loop(::open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
    struct stat st;
    if (!loop || ::fstat(loop.get(), &st) != 0) throw_errno("cannot open `" + path + "`");
    if (configure(loop.get(), file, flags, what)) return {std::move(loop), std::move(path), st.st_rdev};
    if (errno != EBUSY) throw_errno("cannot attach `" + what + "` to `" + path + "`");
  }
  throw_errno("cannot attach `" + what + "` to a loop device", EBUSY);
}

}  // namespace drover
