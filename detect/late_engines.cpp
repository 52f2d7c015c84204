#include "detect/late_engines.hpp"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/fd.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

constexpr std::chrono::milliseconds kLook{100};  ///< how often it is asked what an engine has opened

using FileId = std::pair<dev_t, ino_t>;

/// The lock files of data roots that a process has open.
std::set<FileId> open_lock_files(const std::string& pid) {
  std::set<FileId> files;
  std::string folder = "/proc/" + pid + "/fd";
  DIR* open = ::opendir(folder.c_str());
  if (!open) return files;  // it has ended
  while (const dirent* entry = ::readdir(open)) {
    char target[PATH_MAX];
    std::string link = folder + "/" + entry->d_name;
    ssize_t size = ::readlink(link.c_str(), target, sizeof target);
    struct stat st;
    if (size > 0 &&
        std::string_view(target, static_cast<std::size_t>(size)).ends_with("/volumes/metadata.db") &&
        ::stat(link.c_str(), &st) == 0)
      files.insert({st.st_dev, st.st_ino});
  }
  ::closedir(open);
  return files;
}

struct LateEngine {
  std::string pid;
  Fd process;  ///< readable once it has ended
};

unsigned long long ticks(const std::string& start) { return start.empty() ? 0 : std::stoull(start); }

std::vector<LateEngine> find_late_engines() {
  std::vector<LateEngine> found;
  auto own = ticks(start_of_process(std::to_string(::getpid())));
  auto proc = Dir::try_open("/proc");
  if (!proc) return found;
  for (const DirEntry& entry : proc->list()) {
    if (entry.name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string name;
    std::getline(std::ifstream("/proc/" + entry.name + "/comm"), name);
    if (name != "dockerd" || ticks(start_of_process(entry.name)) < own) continue;
    Fd process(static_cast<int>(::syscall(SYS_pidfd_open, std::stoi(entry.name), 0)));
    if (process) found.push_back({entry.name, std::move(process)});
  }
  return found;
}

}  // namespace

bool outlast_late_engines(std::chrono::milliseconds most) {
  const std::set<FileId> ours = open_lock_files("self");
  auto is_of_another_root = [&](const LateEngine& engine) {
    std::set<FileId> theirs = open_lock_files(engine.pid);
    return !ours.empty() && !theirs.empty() &&
           std::none_of(theirs.begin(), theirs.end(), [&](const FileId& one) { return ours.contains(one); });
  };
  bool all_gone = true;
  auto until = std::chrono::steady_clock::now() + most;
  for (const LateEngine& engine : find_late_engines()) {
    if (is_of_another_root(engine)) continue;
    log_note("waiting for dockerd (pid " + engine.pid + ") to give up: it was started during the switch");
    for (;;) {
      auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      pollfd wait{engine.process.get(), POLLIN, 0};
      int ready = ::poll(&wait, 1, static_cast<int>(std::clamp(left, left.zero(), kLook).count()));
      if (ready > 0 || is_of_another_root(engine)) break;
      if ((ready == 0 || errno == EINTR) && left > left.zero()) continue;
      log_warning(
          "dockerd (pid " + engine.pid +
          ") was started during the switch and has not given up: if it uses this data root, restart it");
      all_gone = false;
      break;
    }
  }
  return all_gone;
}

}  // namespace drover
