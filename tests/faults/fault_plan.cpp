#include "tests/faults/fault_plan.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <string_view>

#include "tests/faults/fault_plan_text.hpp"

namespace drover::faults {

namespace {

struct Asked {
  Plan plan;
  int log = -1;
};

[[noreturn]] void refuse(const char* variable, std::string_view value) {
  std::fprintf(stderr, "drover_faults: %s: cannot use `%.*s`\n", variable, static_cast<int>(value.size()),
               value.data());
  ::_exit(2);
}

Asked read_environment() {
  Asked asked;
  if (const char* log = std::getenv("DROVER_FAULT_LOG")) {
    asked.log = ::open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (asked.log < 0) refuse("DROVER_FAULT_LOG", log);
    // High up, so that the descriptors that drover gets are the ones it would get.
    int high = ::fcntl(asked.log, F_DUPFD_CLOEXEC, 500);
    if (high >= 0) {
      ::close(asked.log);
      asked.log = high;
    }
  }
  if (const char* text = std::getenv("DROVER_FAULT")) {
    auto plan = parse_plan(text);
    if (!plan) refuse("DROVER_FAULT", text);
    asked.plan = std::move(*plan);
  }
  return asked;
}

const Asked& asked() {
  static const Asked read = read_environment();
  return read;
}

std::mutex& changes() {
  static std::mutex mutex;
  return mutex;
}

/// What a process shares with those that it forks: they are one run, and its changes are counted together.
struct Shared {
  std::atomic<unsigned long> made{0};
  std::atomic<bool> hit{false};  ///< the change that is meant has come
  const pid_t first = ::getpid();
};
Shared& shared() {
  static Shared* const place = [] {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) ::_exit(2);
    return new (memory) Shared;
  }();
  return *place;
}
[[maybe_unused]] const Shared& before_any_fork = shared();

void send_all(int signal) {
  if (shared().first != ::getpid()) ::kill(shared().first, signal);
  ::raise(signal);  // to this thread: it goes no step further
}

std::string path_of(int at, const char* name) {
  std::string path;
  if (at >= 0) {
    char text[4096];
    ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(at)).c_str(), text, sizeof text);
    path.assign(text, static_cast<std::size_t>(n > 0 ? n : 0));
  }
  if (name) path += std::string(at >= 0 ? "/" : "") + name;
  return path;
}

void log_change(unsigned long made, const char* call, const std::string& path) {
  std::string line = std::to_string(made) + " " + call + (path.empty() ? "" : " ") + path;
  for (char& c : line)
    if (c == '\n') c = '?';
  line += "\n";
  if (::write(asked().log, line.data(), line.size()) < 0) ::_exit(2);
}

/// Whether the fault is for this change: the one that is meant, or one behind it.
bool is_hit(unsigned long made, const char* call, const std::string& path) {
  const Plan& plan = asked().plan;
  if (plan.what == Plan::What::nothing) return false;
  if (!shared().hit && plan.names(made, call, path)) return shared().hit = true;
  return plan.onwards && shared().hit;
}

}  // namespace

Change::Change(const char* call, int at, const char* name) {
  changes().lock();
  unsigned long made = ++shared().made;
  bool by_path = !asked().plan.call.empty();
  std::string path = by_path || asked().log >= 0 ? path_of(at, name) : "";
  if (asked().log >= 0) log_change(made, call, path);
  if (!is_hit(made, call, path)) return;
  switch (asked().plan.what) {
    case Plan::What::nothing:
      break;
    case Plan::What::before:
      send_all(SIGKILL);
      break;
    case Plan::What::after:
      kill_after_ = true;
      break;
    case Plan::What::stop:
      stop_after_ = true;
      break;
    case Plan::What::term:
      ::kill(shared().first, SIGTERM);
      break;
    case Plan::What::short_write:
      is_short_ = true;
      break;
    case Plan::What::error:
      error_ = asked().plan.error;
      break;
  }
}

Change::~Change() {
  int kept = errno;
  if (kill_after_) send_all(SIGKILL);
  if (stop_after_) send_all(SIGSTOP);
  changes().unlock();
  errno = kept;
}

}  // namespace drover::faults
