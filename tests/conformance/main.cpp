// Everything that these tests mount is in a mount namespace of their own, so that none of it outlives them.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    std::perror("cannot make a private mount namespace: these tests need root");
    return 1;
  }
  ::umask(0);  // as drover's own main does
  // What drover says on standard error meanwhile comes between lines, in a file too.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  return doctest::Context(argc, argv).run();
}
