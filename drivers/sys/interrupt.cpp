#include "drivers/sys/interrupt.hpp"

#include <csignal>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {
volatile std::sig_atomic_t asked = 0;
static_assert(sizeof(asked) <= sizeof(int), "read in one access by every thread");
}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { asked = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal, &action, nullptr);
}

void check_interrupted() {
  if (asked) throw Error(ExitCode::interrupted, "interrupted");
}

}  // namespace drover
