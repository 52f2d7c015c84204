// zfs: each layer a dataset below the one that the data root lies on.
#include <sys/vfs.h>

#include "drivers/probe_scratch.hpp"
#include "drivers/probes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {
constexpr std::uint32_t kZfsMagic = 0x2fc12fc1;
constexpr const char* kInstall =
    "install OpenZFS (apt-get install zfsutils-linux zfs-dkms) and run modprobe zfs";
}  // namespace

Probe probe_zfs(const std::string& data_root) {
  std::string place = probe_place(data_root, "zfs");
  return guarded_probe(place, [&] {
    auto program = find_program("zfs");
    if (!program) return not_usable("the program zfs is not installed", "there is no zfs in PATH", kInstall);
    auto device = open_device("/dev/zfs");
    if (!device)
      return not_usable("the kernel has no zfs: /dev/zfs cannot be opened",
                        "open of /dev/zfs: " + errno_text(errno), kInstall);
    struct statfs fs;
    if (::statfs(place.c_str(), &fs) != 0) throw_errno("cannot look at the filesystem of `" + place + "`");
    auto mount = mount_of(read_mounts(), place);
    if (static_cast<std::uint32_t>(fs.f_type) != kZfsMagic || !mount)
      return not_usable(
          "`" + place + "` is not on a zfs dataset", filesystem_evidence(place),
          "make one (zfs create -o mountpoint=DIR POOL/docker) and name that as data-root in daemon.json");
    ProcessResult list = run_process({*program, "list", "-H", "-o", "name", mount->source});
    if (list.exit_code != 0)
      return not_usable("zfs does not list the dataset `" + mount->source + "`",
                        list.err.substr(0, list.err.find('\n')),
                        "see what it says: zfs list " + mount->source);
    return usable("`zfs list` shows the dataset `" + mount->source + "` under `" + place + "`");
  });
}

}  // namespace drover
