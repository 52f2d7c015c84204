#include "drivers/sys/interrupt.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {
volatile std::sig_atomic_t asked = 0;
static_assert(sizeof(asked) <= sizeof(int), "read in one access by every thread");
std::atomic<int> deferred{0};
int bell = -1;  ///< an eventfd that a signal makes readable, for who waits

void ask_for_stop(int) {
  int kept = errno;
  asked = 1;
  if (bell >= 0) ::eventfd_write(bell, 1);
  errno = kept;
}
}  // namespace

void catch_interrupts() {
  if (bell < 0) bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = ask_for_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction inherited {};
    // nohup's, or that of a shell's background job: it asks to be left alone.
    if (::sigaction(signal, nullptr, &inherited) == 0 && inherited.sa_handler == SIG_IGN) continue;
    ::sigaction(signal, &action, nullptr);
  }
}

void check_interrupted() {
  if (asked && deferred == 0) throw Error(ExitCode::interrupted, "interrupted");
}

void wait_readable(int fd) {
  for (;;) {
    check_interrupted();
    pollfd waits[2] = {{fd, POLLIN, 0}, {deferred == 0 ? bell : -1, POLLIN, 0}};
    int ready = ::poll(waits, 2, -1);
    if (ready < 0 && errno != EINTR) throw_errno("cannot wait for input");
    if (ready > 0 && waits[0].revents) return;
  }
}

Uninterrupted::Uninterrupted() { ++deferred; }
Uninterrupted::~Uninterrupted() { --deferred; }

}  // namespace drover
