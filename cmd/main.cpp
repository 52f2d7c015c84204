#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "cmd/app.hpp"
#include "drivers/sys/error.hpp"

namespace {
/// A standard stream that was closed would be the next file that is opened, and what is printed would go into
/// that.
void occupy_standard_streams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) std::abort();
}

/// Whether it is a file, or one of the devices that stand for files (/dev/full).
bool is_file(int fd) {
  constexpr unsigned kMemoryDevices = 1;
  struct stat st;
  if (::fstat(fd, &st) != 0) return false;
  return S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && major(st.st_rdev) == kMemoryDevices);
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
  int code = drover::run_app(argc, argv, std::cout, std::cerr);
  std::cout.flush();
  // Who reads a pipe may leave it, and a terminal may go; a file that lacks its end is a failure.
  if (code == 0 && !std::cout && is_file(STDOUT_FILENO)) {
    std::cerr << "drover: cannot write all of the output, though all was done\nhint: make room, then see "
                 "`drover info`\n";
    return static_cast<int>(drover::ExitCode::failed);
  }
  return code;
}
