// aufs: a union filesystem outside the mainline kernel.
#include <sys/mount.h>

#include <cerrno>

#include "drivers/probe_backing.hpp"
#include "drivers/probe_scratch.hpp"
#include "drivers/probes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"

namespace drover {

namespace {

constexpr const char* kOther =
    "choose overlay2, or boot a kernel with aufs (aufs-dkms) and an engine of 23 or older";

constexpr const char* kNotInKernel = "the kernel has no aufs";

/// Mounts two branches and deletes through them. Empty: it worked; else why not.
std::string try_aufs(const Scratch& scratch) {
  for (const char* name : {"rw", "ro", "merged"}) scratch.dir().make_dir(name, 0755);
  scratch.dir().sub("ro").write_new("deleted", "", 0644);
  return in_private_mount_namespace([&] {
    scratch.enter();
    if (::mount("none", "merged", "aufs", 0, "br:rw=rw:ro=ro+wh") != 0)
      return errno == ENODEV ? std::string(kNotInKernel) : "aufs cannot be mounted: " + errno_text(errno);
    std::string failure;
    try {
      Dir::open("merged").unlink("deleted");
      if (!Dir::open("rw").exists(".wh.deleted")) failure = "aufs wrote no whiteout for a deleted file";
    } catch (const Error& e) {
      failure = e.what();
    }
    unmount("merged", true);
    return failure;
  });
}

}  // namespace

Probe probe_aufs(const std::string& data_root, const StorageOpts&) {
  std::string place = probe_place(data_root, "aufs");
  return guarded_probe(place, [&] {
    std::string backing = probe_backing(place).type;
    // The engine's own list (moby daemon/graphdriver/aufs, 20.10).
    if (backing == "aufs" || backing == "btrfs" || backing == "ecryptfs")
      return not_usable("the engine refuses aufs on " + backing, filesystem_evidence(place), kOther);
    if (in_user_namespace())
      return not_usable("the engine refuses aufs in a user namespace", "/proc/self/uid_map", kOther);
    Scratch scratch(place);
    std::string failure = try_aufs(scratch);
    std::string did = "mount of two aufs branches in `" + place + "`";
    if (failure == kNotInKernel) return home_possible(not_usable(failure, did + " failed", kOther));
    if (!failure.empty()) return not_usable(failure, did + " failed", kOther);
    return usable_with_limits("engines from 24 on have it no more", did + ", then a deletion through it");
  });
}

}  // namespace drover
