// zfs: each layer a filesystem below the one that the data root lies on, or that zfs.fsname names.
//
// Nothing is made for a trial: it would stay in the admin's pool if this run were killed. What can keep zfs
// from making layers there is asked for instead.
#include "drivers/probe_scratch.hpp"
#include "drivers/probes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/process.hpp"
#include "drivers/zfs_command.hpp"
#include "drivers/zfs_parent.hpp"

namespace drover {

namespace {

constexpr const char* kInstall =
    "install OpenZFS (apt-get install zfsutils-linux zfs-dkms) and run modprobe zfs";

Probe probe_parent(const std::string& parent, const std::string& found_by) {
  // It takes the output of `zfs list` apart at blanks (go-zfs), and does not start.
  if (parent.find(' ') != std::string::npos)
    return not_usable("the engine cannot use a zfs filesystem with a blank in its name: `" + parent + "`",
                      "`" + parent + "` is the one that " + found_by,
                      "name another: zfs rename, or --storage-opt zfs.fsname=POOL/NAME");
  if (!zfs_exists(parent))
    return not_usable("there is no zfs filesystem `" + parent + "`, which " + found_by,
                      "`zfs list` does not know it",
                      "make it: zfs create -o mountpoint=none '" + parent + "'");
  auto properties = zfs_properties(parent, {"readonly", "snapdir"});
  Probe probe = usable("`zfs list` shows `" + parent + "`, which " + found_by);
  if (properties[0] == "on")
    probe = not_usable(
        "the zfs filesystem `" + parent + "` is read-only", "zfs get readonly: on",
        "zfs set readonly=off '" + parent + "'; a pool that was imported read-only: import it again");
  else if (properties[1] == "visible")
    probe = not_usable("the zfs filesystem `" + parent + "` shows its snapshots as files, also in layers",
                       "zfs get snapdir: visible", "zfs set snapdir=hidden '" + parent + "'");
  probe.status = zfs_status(parent);
  return probe;
}

}  // namespace

Probe probe_zfs(const std::string& data_root, const StorageOpts& storage_opts) {
  std::string place = nearest_existing(data_root);
  return guarded_probe(place, [&] {
    if (!find_program("zfs"))
      return not_usable("the program zfs is not installed", "there is no zfs in PATH", kInstall);
    if (!open_device("/dev/zfs"))
      return not_usable("the kernel has no zfs: /dev/zfs cannot be opened",
                        "open of /dev/zfs: " + errno_text(errno), kInstall);
    auto parent = find_zfs_parent(place, storage_opts);
    if (!parent)
      return not_usable(
          "`" + place + "` is not on a zfs filesystem, and none is named for the layers",
          filesystem_evidence(place),
          "name one: --storage-opt zfs.fsname=POOL/docker (zfs create -o mountpoint=none POOL/docker)");
    return probe_parent(*parent, zfs_fsname(storage_opts) ? "zfs.fsname names" : "`" + place + "` is on");
  });
}

}  // namespace drover
