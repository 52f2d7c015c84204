#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <iostream>

#include "cmd/app.hpp"

int main(int argc, char** argv) {
  ::umask(0);  // modes are set as they are to be
  std::signal(SIGPIPE, SIG_IGN);
  // A deep tree needs a descriptor a level.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  return drover::run_app(argc, argv, std::cout, std::cerr);
}
