#include "detect/late_engines.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/fd.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

constexpr std::chrono::seconds kMost{15};

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

void outlast_late_engines() {
  auto until = std::chrono::steady_clock::now() + kMost;
  for (const LateEngine& engine : find_late_engines()) {
    log_note("waiting for dockerd (pid " + engine.pid + ") to give up: it was started during the switch");
    for (;;) {
      auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      pollfd wait{engine.process.get(), POLLIN, 0};
      int ready = ::poll(&wait, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
      if (ready > 0) break;
      if (ready < 0 && errno == EINTR) continue;
      log_warning(
          "dockerd (pid " + engine.pid +
          ") was started during the switch and has not given up: if it uses this data root, restart it");
      break;
    }
  }
}

}  // namespace drover
