#include "drivers/probe_overlay_trial.hpp"

#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <sstream>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

/// By full paths, as the engine gives them: a path that mount options cannot hold shows itself here.
std::string layer_options(const Scratch& scratch) {
  std::string at = scratch.path() + "/";
  return "lowerdir=" + at + "lower2:" + at + "lower1,upperdir=" + at + "upper,workdir=" + at + "work";
}

std::string overlay_xattr(const char* name, bool userxattr) {
  return std::string(userxattr ? "user" : "trusted") + ".overlay." + name;
}

/// Two lowers with everything that the trial touches.
void lay_out(const Dir& scratch) {
  for (const char* name : {"lower1", "lower2", "upper", "work", "merged"}) scratch.make_dir(name, 0755);
  Dir lower1 = scratch.sub("lower1");
  for (const char* name : {"deleted", "renamed", "hidden", "changed"}) lower1.write_new(name, name, 0644);
  lower1.make_path("replaced", 0755).write_new("old", "", 0644);
  lower1.make_path("opaque", 0755).write_new("old", "", 0644);
  lower1.make_dir("moved", 0755);
  scratch.sub("lower2").make_dir("opaque", 0755);
}

/// Marks in the upper of the two, as an engine's image layers hold them: a whiteout, an opaque directory.
void lay_kernel_marks(const Dir& lower, bool userxattr) {
  lower.make_node("hidden", S_IFCHR, makedev(0, 0));
  lower.sub("opaque").set_xattr("", overlay_xattr("opaque", userxattr), "y");
}
void lay_aufs_marks(const Dir& lower) {
  lower.write_new(".wh.hidden", "", 0644);
  lower.sub("opaque").write_new(".wh..wh..opq", "", 0644);
}

bool is_whiteout(const Dir& dir, const char* name) {
  auto stat = dir.try_stat(name);
  return stat && S_ISCHR(stat->st_mode) && stat->st_rdev == makedev(0, 0);
}

/// What any overlay must do; the words say what did not happen.
std::string first_wrong_view(const Dir& merged) {
  if (merged.exists("hidden")) return "a whiteout in a lower layer did not hide the file below it";
  if (merged.sub("opaque").exists("old"))
    return "an opaque directory in a lower layer did not hide what is below it";
  merged.write_new("created", "new", 0644);
  merged.unlink("deleted");
  if (merged.exists("deleted")) return "a deleted file stayed";
  merged.rename("renamed", merged, "renamed-to");
  if (merged.exists("renamed") || merged.read("renamed-to") != "renamed") return "a file's rename went wrong";
  merged.remove_tree("replaced");
  merged.make_dir("replaced", 0755);
  if (merged.sub("replaced").exists("old")) return "a directory made anew showed what the deleted one held";
  return "";
}

/// What a kernel's overlay must have written into the upper layer for that.
std::string first_wrong_mark(const Dir& upper, bool userxattr) {
  if (upper.read("created") != "new") return "a created file did not reach the upper layer";
  for (const char* name : {"deleted", "renamed"})
    if (!is_whiteout(upper, name)) return "the whiteout of a gone file is no character device 0:0";
  if (upper.sub("replaced").xattr("", overlay_xattr("opaque", userxattr).c_str()) != "y")
    return "a directory made anew was not marked opaque";
  return "";
}

/// The same questions as moby daemon/graphdriver/overlay2/check.go asks.
void look_at_native_diff(const Dir& merged, const Dir& upper, OverlayTrial& trial) {
  merged.sub("opaque").write_new("copies-up", "", 0644);
  trial.opaque_copied_up =
      upper.sub("opaque").xattr("", overlay_xattr("opaque", trial.userxattr).c_str()).value_or("") == "y";
  try {
    merged.rename("moved", merged, "moved-to");
    trial.redirects =
        upper.sub("moved-to").xattr("", overlay_xattr("redirect", trial.userxattr).c_str()).has_value();
  } catch (const SystemError& e) {
    if (e.number() != EXDEV) throw;
  }
  if (disk::fchmodat(merged.fd(), "changed", 0600, 0) != 0)
    throw_errno("cannot change a mode in the overlay");
  trial.metacopy = upper.xattr("changed", overlay_xattr("metacopy", trial.userxattr).c_str()).has_value();
}

std::string encode(const OverlayTrial& t) {
  std::ostringstream text;
  text << t.mount_errno << ' ' << t.userxattr << ' ' << t.opaque_copied_up << ' ' << t.redirects << ' '
       << t.metacopy << ' ' << t.failure;
  return text.str();
}

OverlayTrial decode(const std::string& text) {
  std::istringstream in(text);
  OverlayTrial t;
  in >> t.mount_errno >> t.userxattr >> t.opaque_copied_up >> t.redirects >> t.metacopy;
  in.get();
  std::getline(in, t.failure);
  return t;
}

/// A test that fails inside the mounted overlay is an answer; what is mounted is unmounted in any case.
void run_inside(OverlayTrial& trial, const std::function<std::string()>& checks) {
  try {
    trial.failure = checks();
  } catch (const Error& e) {
    trial.failure = e.what();
  }
  unmount("merged", true);
}

}  // namespace

OverlayTrial try_overlayfs(const Scratch& scratch) {
  bool userxattr = in_user_namespace();
  lay_out(scratch.dir());
  // On another overlay even the marks are refused; that the mount is refused too says more.
  std::string mark_failure;
  try {
    lay_kernel_marks(scratch.dir().sub("lower2"), userxattr);
  } catch (const SystemError& e) {
    mark_failure = "marks cannot be written: " + errno_text(e.number());
  }
  return decode(in_private_mount_namespace([&] {
    OverlayTrial trial;
    trial.userxattr = userxattr;
    scratch.enter();
    std::string options = layer_options(scratch);
    if (::access("/sys/module/overlay/parameters/index", F_OK) == 0) options += ",index=off";
    if (userxattr) options += ",userxattr";
    if (::mount("overlay", "merged", "overlay", 0, options.c_str()) != 0) {
      trial.mount_errno = errno;
      return encode(trial);
    }
    run_inside(trial, [&] {
      if (!mark_failure.empty()) return mark_failure;
      Dir merged = Dir::open("merged"), upper = Dir::open("upper");
      if (auto wrong = first_wrong_view(merged); !wrong.empty()) return wrong;
      if (auto wrong = first_wrong_mark(upper, userxattr); !wrong.empty()) return wrong;
      look_at_native_diff(merged, upper, trial);
      return std::string();
    });
    return encode(trial);
  }));
}

OverlayTrial try_fuse_overlayfs(const Scratch& scratch, const std::string& program, std::string& message) {
  lay_out(scratch.dir());
  lay_aufs_marks(scratch.dir().sub("lower2"));
  std::string answer = in_private_mount_namespace([&] {
    OverlayTrial trial;
    scratch.enter();
    ProcessResult result = run_process({program, "-o", layer_options(scratch), scratch.path() + "/merged"});
    if (result.exit_code != 0) {
      trial.mount_errno = EIO;
      return encode(trial) + "\n" + result.err;
    }
    run_inside(trial, [&] { return first_wrong_view(Dir::open("merged")); });
    return encode(trial);
  });
  std::size_t line = answer.find('\n');
  if (line != std::string::npos) message = answer.substr(line + 1);
  return decode(answer);
}

}  // namespace drover
