// btrfs: each layer a subvolume, each child a snapshot.
#include <linux/magic.h>
#include <sys/vfs.h>

#include "drivers/probe_scratch.hpp"
#include "drivers/probes.hpp"
#include "drivers/sys/btrfs_ioctl.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

/// Makes a subvolume and a snapshot of it, and takes both away.
void try_subvolumes(const Dir& dir) {
  create_subvolume(dir, "subvolume");
  Dir subvolume = dir.sub("subvolume");
  subvolume.write_new("file", "content", 0644);
  create_snapshot(subvolume, dir, "snapshot");
  if (dir.sub("snapshot").read("file") != "content")
    throw Error("a snapshot does not show its origin's files");
  for (const char* name : {"snapshot", "subvolume"})
    if (!destroy_subvolume(dir, name))
      throw Error(std::string("the ") + name + " made for a trial cannot be removed");
}

}  // namespace

Probe probe_btrfs(const std::string& data_root, const StorageOpts&) {
  std::string place = probe_place(data_root, "btrfs");
  return guarded_probe(place, [&] {
    struct statfs fs;
    if (::statfs(place.c_str(), &fs) != 0) throw_errno("cannot look at the filesystem of `" + place + "`");
    if (static_cast<std::uint32_t>(fs.f_type) != BTRFS_SUPER_MAGIC)
      return not_usable(
          "`" + place + "` is not on a btrfs", filesystem_evidence(place),
          "make one (mkfs.btrfs DEVICE), mount it, copy the data root there with the engine stopped (cp -a) "
          "and name that as data-root in daemon.json");
    Scratch scratch(place);
    try_subvolumes(scratch.dir());
    return usable("made a subvolume and a snapshot of it in `" + place + "` and removed them");
  });
}

}  // namespace drover
