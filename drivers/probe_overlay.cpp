// overlay2 and its removed predecessor overlay: the kernel's overlayfs, tried with a real mount.
#include <cerrno>

#include "drivers/probe_backing.hpp"
#include "drivers/probe_overlay_trial.hpp"
#include "drivers/probes.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr const char* kElsewhere =
    "move the data root to an ext4, an xfs made with ftype=1 or a btrfs, or choose another driver: drover "
    "select";

Probe cannot_mount(const OverlayTrial& trial, const BackingFilesystem& fs) {
  std::string evidence = "mount of an overlay with two lower directories in `" + fs.place +
                         "` failed: " + errno_text(trial.mount_errno);
  if (trial.mount_errno == ENODEV) {
    Probe no = not_usable("the kernel has no overlayfs", evidence, "load its module: modprobe overlay");
    return fs.d_type.value_or(true) ? home_possible(std::move(no)) : no;
  }
  if (trial.mount_errno == EPERM)
    return not_usable("mounting an overlay is not permitted here", evidence,
                      in_user_namespace()
                          ? "use a kernel of 5.11 or later, or choose fuse-overlayfs: drover select"
                          : "run drover as root");
  if (fs.place.find_first_of(":,\\") != std::string::npos)
    return not_usable("mount options cannot hold the path `" + fs.place + "`", evidence,
                      "use a data root without colon, comma and backslash in its path");
  return not_usable("overlayfs cannot keep its writable layers on " + fs.kernel_type, evidence, kElsewhere);
}

Probe without_d_type(const BackingFilesystem& fs) {
  std::string fix = kElsewhere;
  if (fs.type == "xfs")
    fix =
        "move the data root to a filesystem made with `mkfs.xfs -n ftype=1`, or "
        "choose "
        "another driver: drover select";
  else if (fs.type == "extfs")
    fix = "unmount it and run `tune2fs -O filetype " + fs.source + " && e2fsck -fD " + fs.source +
          "`, or choose another driver: drover select";
  return not_usable("this " + fs.kernel_type + " was made without d_type, which overlayfs needs",
                    "readdir does not tell what kind an entry is", fix);
}

std::string why_no_native_diff(const OverlayTrial& trial) {
  if (trial.userxattr) return "in a user namespace";
  if (trial.opaque_copied_up) return "the kernel copies the opaque mark up with its directory";
  if (trial.redirects) return "the kernel redirects renamed directories (redirect_dir)";
  return "";
}

/// Both drivers stand on the same trial.
Probe probe_overlayfs(const std::string& data_root, std::string_view driver) {
  std::string place = probe_place(data_root, driver);
  return guarded_probe(place, [&] {
    BackingFilesystem fs = probe_backing(place);
    Scratch scratch(place);
    OverlayTrial trial = try_overlayfs(scratch);
    if (trial.mount_errno != 0) return cannot_mount(trial, fs);
    if (!fs.d_type.value_or(true)) return without_d_type(fs);
    std::string did = "mounted an overlay with two lower directories in `" + place + "`";
    if (!trial.failure.empty())
      return not_usable("overlayfs does not work right on " + fs.kernel_type + ": " + trial.failure, did,
                        kElsewhere);
    Probe probe = usable(did + ", then created, deleted, renamed and replaced files and directories in it");
    std::string slow = why_no_native_diff(trial);
    probe.status = {{"Backing Filesystem", fs.type},
                    {"Supports d_type", "true"},
                    {"Using metacopy", trial.metacopy ? "true" : "false"},
                    {"Native Overlay Diff", slow.empty() ? "true" : "false"},
                    {"userxattr", trial.userxattr ? "true" : "false"}};
    if (!slow.empty()) {
      probe.usable = Probe::Usable::with_limits;
      probe.reason = "building images compares whole trees (Native Overlay Diff: false): " + slow;
      if (trial.redirects)
        probe.fix =
            "echo 'options overlay redirect_dir=off metacopy=off' > /etc/modprobe.d/overlay.conf, then "
            "reboot";
    }
    return probe;
  });
}

}  // namespace

Probe probe_overlay2(const std::string& data_root, const StorageOpts&) {
  return probe_overlayfs(data_root, "overlay2");
}

Probe probe_overlay(const std::string& data_root, const StorageOpts&) {
  Probe probe = probe_overlayfs(data_root, "overlay");
  if (probe.usable == Probe::Usable::no) return probe;
  probe.usable = Probe::Usable::with_limits;
  probe.reason =
      "each image layer is a tree of hard links, which uses up inodes; engines from 24 on have it no more";
  probe.fix = "choose overlay2, which works here too";
  if (probe.status.size() > 2) probe.status.resize(2);
  return probe;
}

}  // namespace drover
