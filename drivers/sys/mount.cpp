#include "drivers/sys/mount.hpp"

#include <fcntl.h>
#include <libmount/libmount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "drivers/sys/error.hpp"
#include "drivers/sys/fd.hpp"

namespace drover {

namespace {

/// A superblock of this filesystem, ready to be mounted; nothing, with errno, if the kernel refuses it.
std::optional<Fd> make_filesystem(const std::string& fstype, const std::string& source, bool read_only) {
  Fd context(::fsopen(fstype.c_str(), FSOPEN_CLOEXEC));
  if (!context || ::fsconfig(context.get(), FSCONFIG_SET_STRING, "source", source.c_str(), 0) != 0 ||
      (read_only && ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) != 0) ||
      ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return std::nullopt;
  return context;
}

}  // namespace

std::vector<MountEntry> read_mounts() {
  constexpr const char* kTable = "/proc/self/mountinfo";
  std::unique_ptr<libmnt_table, decltype(&mnt_unref_table)> table(mnt_new_table(), &mnt_unref_table);
  if (!table || mnt_table_parse_file(table.get(), kTable) != 0)
    throw Error(std::string("cannot read `") + kTable + "`", "is /proc mounted?");
  std::unique_ptr<libmnt_iter, decltype(&mnt_free_iter)> iter(mnt_new_iter(MNT_ITER_FORWARD), &mnt_free_iter);
  auto text = [](const char* s) { return std::string(s ? s : ""); };
  std::vector<MountEntry> mounts;
  for (libmnt_fs* fs; mnt_table_next_fs(table.get(), iter.get(), &fs) == 0;)
    mounts.push_back({text(mnt_fs_get_target(fs)), text(mnt_fs_get_source(fs)), text(mnt_fs_get_root(fs)),
                      text(mnt_fs_get_fstype(fs)), text(mnt_fs_get_options(fs)), mnt_fs_get_devno(fs)});
  return mounts;
}

std::optional<MountEntry> mount_of(const std::vector<MountEntry>& mounts, const std::string& path) {
  std::optional<MountEntry> best;
  for (const auto& m : mounts) {
    bool within =
        m.target == "/" || path == m.target ||
        (path.starts_with(m.target) && path.size() > m.target.size() && path[m.target.size()] == '/');
    if (within && (!best || m.target.size() >= best->target.size())) best = m;
  }
  return best;
}

void unmount(const std::string& target, bool detach) {
  if (::umount2(target.c_str(), UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) != 0)
    throw_errno("cannot unmount `" + target + "`");
}

Fd mount_detached(const std::string& fstype, const std::string& source, bool read_only) {
  auto context = make_filesystem(fstype, source, false);
  if (!context && read_only && (errno == EROFS || errno == EACCES)) context = make_filesystem(fstype, source, true);
  if (!context) throw_errno("cannot mount the " + fstype + " `" + source + "`");
  unsigned attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | (read_only ? MOUNT_ATTR_RDONLY : 0);
  Fd mount(::fsmount(context->get(), FSMOUNT_CLOEXEC, attributes));
  if (!mount) throw_errno("cannot mount the " + fstype + " `" + source + "`");
  Fd root(::openat(mount.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) throw_errno("cannot open the root of the " + fstype + " `" + source + "`");
  return root;
}

std::string in_private_mount_namespace(const std::function<std::string()>& f) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("cannot make a pipe");
  Fd reader(ends[0]), writer(ends[1]);
  pid_t child = ::fork();
  if (child < 0) throw_errno("cannot fork");
  if (child == 0) {
    // The first byte says how it went; no destructor or exit handler of the parent may run here.
    std::string answer;
    try {
      if (::unshare(CLONE_NEWNS) != 0) throw_errno("cannot make a private mount namespace");
      if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        throw_errno("cannot make the mounts private");
      answer = "+" + f();
    } catch (const std::exception& e) {
      answer = std::string("-") + e.what();
    }
    for (std::size_t at = 0; at < answer.size();) {
      ssize_t n = ::write(writer.get(), answer.data() + at, answer.size() - at);
      if (n < 0 && errno != EINTR) break;
      if (n > 0) at += static_cast<std::size_t>(n);
    }
    ::_exit(0);
  }
  writer.reset();
  std::string answer;
  char block[4096];
  for (ssize_t n; (n = ::read(reader.get(), block, sizeof block)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    answer.append(block, static_cast<std::size_t>(n));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (answer.empty()) throw Error("the probe in a private mount namespace ended without an answer");
  if (answer[0] == '-') throw Error(answer.substr(1));
  return answer.substr(1);
}

}  // namespace drover
