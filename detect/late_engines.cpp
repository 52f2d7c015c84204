#include "detect/late_engines.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "detect/dockerd_commands.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

constexpr std::chrono::milliseconds kLook{100};  ///< how often it is asked what an engine does

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
  Dir process;  ///< its folder in /proc
  /// One that has ended, though nobody has asked for its exit code, runs nothing.
  bool has_ended() const {
    return ::faccessat(process.fd(), "exe", F_OK, 0) != 0 && (errno == ENOENT || errno == ESRCH);
  }
};

unsigned long long ticks(const std::string& start) { return start.empty() ? 0 : std::stoull(start); }

std::vector<LateEngine> find_late_engines() {
  std::vector<LateEngine> found;
  auto own = ticks(start_of_process(std::to_string(::getpid())));
  auto proc = Dir::try_open("/proc");
  if (!proc) return found;
  for (const DirEntry& entry : proc->list()) {
    if (entry.name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (ticks(start_of_process(entry.name)) < own) continue;
    auto process = proc->try_sub(entry.name);
    if (process && is_engine_process(*process)) found.push_back({entry.name, std::move(*process)});
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
      if (engine.has_ended() || is_of_another_root(engine)) break;
      if (left > left.zero()) {
        std::this_thread::sleep_for(std::min(left, kLook));
        continue;
      }
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
