#include "tests/faults/fault_plan.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <string_view>

namespace drover::faults {

namespace {

struct Plan {
  enum class What { nothing, before, after, stop, short_write, error } what = What::nothing;
  int error = 0;
  unsigned long at = 0;
  bool onwards = false;
  int log = -1;
};

[[noreturn]] void refuse(const char* variable, std::string_view value) {
  std::fprintf(stderr, "drover_faults: %s: cannot use `%.*s`\n", variable, static_cast<int>(value.size()),
               value.data());
  ::_exit(2);
}

Plan read_plan() {
  Plan plan;
  if (const char* log = std::getenv("DROVER_FAULT_LOG")) {
    plan.log = ::open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (plan.log < 0) refuse("DROVER_FAULT_LOG", log);
    // High up, so that the descriptors that drover gets are the ones it would get.
    int high = ::fcntl(plan.log, F_DUPFD_CLOEXEC, 500);
    if (high >= 0) {
      ::close(plan.log);
      plan.log = high;
    }
  }
  const char* text = std::getenv("DROVER_FAULT");
  if (!text) return plan;
  std::string_view value(text), rest(text);
  plan.onwards = rest.ends_with('+');
  if (plan.onwards) rest.remove_suffix(1);
  std::size_t at = rest.find('@');
  if (at == std::string_view::npos) refuse("DROVER_FAULT", value);
  std::string_view number = rest.substr(at + 1), what = rest.substr(0, at);
  auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), plan.at);
  if (problem != std::errc() || end != number.data() + number.size() || plan.at == 0)
    refuse("DROVER_FAULT", value);
  constexpr struct {
    std::string_view name;
    Plan::What what;
    int error;
  } kKnown[] = {{"before", Plan::What::before, 0},     {"after", Plan::What::after, 0},
                {"stop", Plan::What::stop, 0},         {"short", Plan::What::short_write, 0},
                {"ENOSPC", Plan::What::error, ENOSPC}, {"EIO", Plan::What::error, EIO},
                {"EDQUOT", Plan::What::error, EDQUOT}, {"EROFS", Plan::What::error, EROFS},
                {"EMFILE", Plan::What::error, EMFILE}};
  for (const auto& known : kKnown)
    if (known.name == what) {
      plan.what = known.what;
      plan.error = known.error;
      return plan;
    }
  refuse("DROVER_FAULT", value);
}

const Plan& plan() {
  static const Plan read = read_plan();
  return read;
}

std::mutex& changes() {
  static std::mutex mutex;
  return mutex;
}

/// What a process shares with those that it forks: they are one run, and its changes are counted together.
struct Shared {
  std::atomic<unsigned long> made{0};
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

void log_change(unsigned long made, const char* call, int at, const char* name) {
  std::string line = std::to_string(made) + " " + call;
  if (at >= 0) {
    char path[4096];
    ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(at)).c_str(), path, sizeof path);
    line += " " + std::string(path, static_cast<std::size_t>(n > 0 ? n : 0));
  }
  if (name) line += std::string(at >= 0 ? "/" : " ") + name;
  for (char& c : line)
    if (c == '\n') c = '?';
  line += "\n";
  if (::write(plan().log, line.data(), line.size()) < 0) ::_exit(2);
}

}  // namespace

Change::Change(const char* call, int at, const char* name) {
  const Plan& asked = plan();
  changes().lock();
  unsigned long made = ++shared().made;
  if (asked.log >= 0) log_change(made, call, at, name);
  if (asked.onwards ? made < asked.at : made != asked.at) return;
  switch (asked.what) {
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
    case Plan::What::short_write:
      is_short_ = true;
      break;
    case Plan::What::error:
      error_ = asked.error;
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
