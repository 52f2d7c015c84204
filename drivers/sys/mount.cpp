#include "drivers/sys/mount.hpp"

#include <fcntl.h>
#include <libmount/libmount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <thread>

#include "drivers/sys/beneath.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/fd.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

/// What the kernel has to say about a context: lines "e text", "w text", "i text".
std::string messages_of(int context) {
  std::string text;
  char line[512];
  for (ssize_t n; (n = ::read(context, line, sizeof line)) > 0;) {
    std::string_view message(line, static_cast<std::size_t>(n));
    while (message.ends_with('\n')) message.remove_suffix(1);
    text += (text.empty() ? "" : "; ") + printable(message);
  }
  return text;
}

constexpr const char* kAnyFolder = "/proc";  ///< of those that are there wherever drover runs

/// In a namespace of the calling thread's own. -1 and errno on failure.
int mount_in_thread(const std::string& fstype, const std::string& source,
                    const std::vector<std::string>& options, bool read_only) {
  constexpr unsigned long kOwn = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME;
  unsigned long flags = kOwn;
  std::string data;
  for (const std::string& option : options)
    if (option == "ro")
      flags |= MS_RDONLY;
    else
      data += (data.empty() ? "" : ",") + option;
  if (::unshare(CLONE_FS | CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount(source.c_str(), kAnyFolder, fstype.c_str(), flags, data.c_str()) != 0)
    return -1;
  // Of this mount alone.
  if (read_only &&
      ::mount(nullptr, kAnyFolder, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kOwn, nullptr) != 0)
    return -1;
  int root = ::open(kAnyFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = errno;
  ::umount2(kAnyFolder, MNT_DETACH);
  errno = error;
  return root;
}

/// For kernels without fsopen(2), before Linux 5.2: the mount is made in a namespace that a thread has to
/// itself, and taken out of it again: then there is none but the descriptor's.
Fd mount_unseen(const std::string& fstype, const std::string& source, const std::vector<std::string>& options,
                bool read_only, const std::string& cannot) {
  Fd root;
  int error = 0;
  std::thread([&] {
    root = Fd(mount_in_thread(fstype, source, options, read_only));
    error = errno;
  }).join();
  if (!root) throw_errno(cannot, error);
  return root;
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

bool on_one_mount(const Dir& a, const Dir& b) {
  auto mount_of_dir = [](const Dir& dir) {
    auto id = mount_id_of(dir.fd());
    if (!id) throw_errno("cannot tell the mount of `" + dir.path() + "`");
    return *id;
  };
  // A subvolume of btrfs is on its parent's mount, and a device of its own.
  return a.stat().st_dev == b.stat().st_dev && mount_of_dir(a) == mount_of_dir(b);
}

void unmount(const std::string& target, bool detach) {
  if (::umount2(target.c_str(), UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) != 0)
    throw_errno("cannot unmount `" + target + "`");
}

Fd mount_detached(const std::string& fstype, const std::string& source,
                  const std::vector<std::string>& options, bool read_only, const std::string& what) {
  std::string cannot = "cannot mount the " + fstype + " of " + what;
  Fd context(::fsopen(fstype.c_str(), FSOPEN_CLOEXEC));
  if (!context && errno == ENOSYS) return mount_unseen(fstype, source, options, read_only, cannot);
  if (!context) throw_errno(cannot);
  auto set = [&](unsigned command, const char* key, const char* value) {
    if (::fsconfig(context.get(), command, key, value, 0) == 0) return;
    int error = errno;
    if (std::string said = messages_of(context.get()); !said.empty()) log_detail(what + ": " + said);
    throw_errno(cannot, error);
  };
  set(FSCONFIG_SET_STRING, "source", source.c_str());
  for (const std::string& option : options)
    if (std::size_t equals = option.find('='); equals != std::string::npos)
      set(FSCONFIG_SET_STRING, option.substr(0, equals).c_str(), option.c_str() + equals + 1);
    else
      set(FSCONFIG_SET_FLAG, option.c_str(), nullptr);
  set(FSCONFIG_CMD_CREATE, nullptr, nullptr);
  unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME;
  if (read_only) attributes |= MOUNT_ATTR_RDONLY;
  Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!mount) throw_errno(cannot);
  Fd root(::openat(mount.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) throw_errno(cannot);
  return root;
}

bool kernel_has_filesystem(std::string_view fstype) {
  std::ifstream list("/proc/filesystems");
  for (std::string line; std::getline(list, line);)
    if (std::string_view(line).substr(line.rfind('\t') + 1) == fstype) return true;
  return false;
}

bool kernel_can_mount(const char* fstype) {
  return Fd(::fsopen(fstype, FSOPEN_CLOEXEC)) || (errno == ENOSYS && kernel_has_filesystem(fstype));
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
