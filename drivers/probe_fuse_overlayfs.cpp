// fuse-overlayfs: an overlay in user space, by the program of that name.
#include <cerrno>

#include "drivers/probe_overlay_trial.hpp"
#include "drivers/probes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

constexpr const char* kLimits =
    "every file operation passes through a process of its own, and names over 251 bytes are refused";

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

Probe probe_fuse_overlayfs(const std::string& data_root, const StorageOpts&) {
  std::string place = probe_place(data_root, "fuse-overlayfs");
  return guarded_probe(place, [&] {
    auto program = find_program("fuse-overlayfs");
    if (!program)
      return home_possible(not_usable("the program fuse-overlayfs is not installed",
                                      "there is no fuse-overlayfs in PATH",
                                      "apt-get install fuse-overlayfs, or dnf install fuse-overlayfs"));
    auto device = open_device("/dev/fuse");
    if (!device)
      return not_usable("/dev/fuse cannot be opened", "open of /dev/fuse: " + errno_text(errno),
                        "load the kernel's module: modprobe fuse");
    Scratch scratch(place);
    std::string message;
    OverlayTrial trial = try_fuse_overlayfs(scratch, *program, message);
    std::string did = "ran `" + *program + "` with two lower directories in `" + place + "`";
    if (trial.mount_errno != 0)
      return not_usable("fuse-overlayfs cannot mount here: " + first_line(message), did,
                        "see what it says: fuse-overlayfs -f -o lowerdir=...,upperdir=...,workdir=... DIR");
    if (!trial.failure.empty())
      return not_usable("fuse-overlayfs does not work right here: " + trial.failure, did,
                        "install a newer fuse-overlayfs, or choose another driver: drover select");
    return usable_with_limits(kLimits, did + ", then created, deleted, renamed and replaced in it");
  });
}

}  // namespace drover
