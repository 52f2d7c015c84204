// devicemapper: each layer a thin device of a pool that device-mapper's thin-pool target makes.
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>

#include <cstring>
#include <vector>

#include "drivers/probe_scratch.hpp"
#include "drivers/probes.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr const char* kControl = "/dev/mapper/control";
constexpr std::size_t kBuffer = 16 << 10;
constexpr const char* kFix = "load them: modprobe dm-thin-pool; or choose another driver: drover select";

dm_ioctl make_request(std::size_t size) {
  dm_ioctl request{};
  request.version[0] = 4;  // the kernel answers any 4.x
  request.data_size = static_cast<std::uint32_t>(size);
  request.data_start = sizeof request;
  return request;
}

/// DM_GET_TARGET_VERSION (dm 4.41) loads a target's module by itself; older kernels only list what is loaded.
bool load_target(int control, const char* target) {
  dm_ioctl request = make_request(kBuffer);
  std::strncpy(request.name, target, sizeof request.name - 1);
  std::vector<char> buffer(kBuffer);
  std::memcpy(buffer.data(), &request, sizeof request);
  return ::ioctl(control, DM_GET_TARGET_VERSION, buffer.data()) == 0;
}

bool lists_target(int control, std::string_view target) {
  std::vector<char> buffer(kBuffer);
  dm_ioctl request = make_request(kBuffer);
  std::memcpy(buffer.data(), &request, sizeof request);
  if (::ioctl(control, DM_LIST_VERSIONS, buffer.data()) != 0)
    throw_errno("cannot list device-mapper's targets (DM_LIST_VERSIONS)");
  std::memcpy(&request, buffer.data(), sizeof request);
  for (std::size_t at = request.data_start; at + sizeof(dm_target_versions) < buffer.size();) {
    dm_target_versions version;
    std::memcpy(&version, buffer.data() + at, sizeof version);
    const char* name = buffer.data() + at + sizeof version;
    if (std::string_view(name, ::strnlen(name, buffer.size() - at - sizeof version)) == target) return true;
    if (version.next == 0) break;
    at += version.next;
  }
  return false;
}

}  // namespace

Probe probe_devicemapper(const std::string& data_root) {
  return guarded_probe(data_root, [&] {
    auto control = open_device(kControl);
    if (!control)
      return not_usable(errno == ENOENT ? "the kernel has no device-mapper" : "device-mapper cannot be used",
                        std::string("open of ") + kControl + ": " + errno_text(errno),
                        "load it: modprobe dm-mod; or choose another driver: drover select");
    for (const char* target : {"thin-pool", "thin"})
      if (!load_target(control->get(), target) && !lists_target(control->get(), target))
        return not_usable(std::string("device-mapper has no ") + target + " target",
                          std::string("asked ") + kControl + " for its targets", kFix);
    return usable_with_limits(
        "it needs a thin pool (on loop files it is slow), containers share no page cache, and engines from "
        "25 on have "
        "it no more",
        std::string(kControl) + " answers and has the thin-pool and thin targets");
  });
}

}  // namespace drover
