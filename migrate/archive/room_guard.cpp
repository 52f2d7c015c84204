#include "migrate/archive/room_guard.hpp"

#include <sys/statvfs.h>

#include "drivers/sys/error.hpp"
#include "drivers/sys/size_text.hpp"

namespace drover {

namespace {
constexpr std::uint64_t kCheckEvery = 32 << 20, kReserve = 64 << 20, kReservedInodes = 1000;
}

void RoomGuard::wrote(std::uint64_t bytes) {
  unchecked_bytes_ += bytes;
  if (unchecked_bytes_ < kCheckEvery) return;
  unchecked_bytes_ = 0;
  struct statvfs fs;
  if (::fstatvfs(on_.fd(), &fs) != 0) throw_errno("cannot ask for the free space of `" + on_.path() + "`");
  if (std::uint64_t free = fs.f_bavail * fs.f_frsize; free < kReserve)
    throw Error(
        "not enough space on the filesystem of `" + on_.path() + "`: " + human_size(free) + " are left",
        "nothing was changed; make room and try again");
  // A filesystem that makes its inodes as it needs them says that it has none.
  if (fs.f_files > 0 && fs.f_favail < kReservedInodes)
    throw Error("not enough inodes on the filesystem of `" + on_.path() +
                    "`: " + std::to_string(fs.f_favail) + " are left",
                "nothing was changed; make room and try again");
}

}  // namespace drover
