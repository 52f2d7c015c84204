#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "cmd/app.hpp"

namespace {
/// A standard stream that was closed would be the next file that is opened, and what is printed would go into
/// that.
void occupy_standard_streams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) std::abort();
}
}  // namespace

int main(int argc, char** argv) {
  occupy_standard_streams();
  ::umask(0);  // modes are set as they are to be
  std::signal(SIGPIPE, SIG_IGN);
  // Each thread has a few directories and files open.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  return drover::run_app(argc, argv, std::cout, std::cerr);
}
