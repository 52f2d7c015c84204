// devicemapper: each layer a thin device of a pool that device-mapper's thin-pool target makes.
#include "drivers/devicemapper_status.hpp"
#include "drivers/probe_scratch.hpp"
#include "drivers/probes.hpp"
#include "drivers/sys/dm_ioctl.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/thin_pool.hpp"

namespace drover {

namespace {

constexpr const char* kControl = "/dev/mapper/control";

Probe try_device_mapper() {
  auto control = open_device_mapper();
  if (!control)
    return not_usable(errno == ENOENT ? "the kernel has no device-mapper" : "device-mapper cannot be used",
                      std::string("open of ") + kControl + ": " + errno_text(errno),
                      "load it: modprobe dm-mod; or choose another driver: drover select");
  for (const char* target : {"thin-pool", "thin"})
    if (!dm_has_target(control->get(), target))
      return not_usable(std::string("device-mapper has no ") + target + " target",
                        std::string("asked ") + kControl + " for its targets",
                        "load them: modprobe dm-thin-pool; or choose another driver: drover select");
  return usable_with_limits(
      "it needs a thin pool (on loop files it is slow), containers share no page cache, and engines from "
      "25 on have it no more",
      std::string(kControl) + " answers and has the thin-pool and thin targets");
}

}  // namespace

Probe probe_devicemapper(const std::string& data_root, const StorageOpts& storage_opts) {
  Probe probe = guarded_probe(data_root, [&] { return try_device_mapper(); });
  std::string home = data_root + "/devicemapper";
  try {
    DevicemapperOptions options = devicemapper_options_of(home, storage_opts);
    if (probe.usable != Probe::Usable::no && options.on_pool_of_lvm() && !thin_pool_status(options.pool))
      probe = not_usable("there is no thin pool `/dev/mapper/" + options.pool + "`",
                         "asked device-mapper for its status",
                         "is it active? For one of LVM's: lvchange --activate y VG/POOL");
    probe.status = devicemapper_status(home, options);
  } catch (const Error& e) {
    probe = not_usable("its storage-opts are wrong", e.what(), "correct them");
  }
  return probe;
}

}  // namespace drover
