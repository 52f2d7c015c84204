#include "detect/late_engines.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "drivers/sys/fd.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {
/// A process that is called dockerd and has this file open; it is there once the constructor is through.
class Engine {
 public:
  explicit Engine(const std::string& file) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::prctl(PR_SET_NAME, "dockerd");
      // Not the parent's, which are a lock of this root.
      ::close_range(3, static_cast<unsigned>(ends[1]) - 1, 0);
      bool opened = ::open(file.c_str(), O_RDONLY | O_CLOEXEC) >= 0;
      if (!opened || ::write(ends[1], "x", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    ::close(ends[1]);
    char ready = 0;
    CHECK(::read(ends[0], &ready, 1) == 1);
    ::close(ends[0]);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};
}  // namespace

TEST_CASE("an engine that has found another data root is not waited for, one of this root is") {
  HostTree tree;
  tree.write("/one/volumes/metadata.db", "");
  tree.write("/other/volumes/metadata.db", "");
  Fd ours(::open(tree.path("/one/volumes/metadata.db").c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(ours);
  {
    Engine other(tree.path("/other/volumes/metadata.db"));
    CHECK(outlast_late_engines());
  }
  Engine same(tree.path("/one/volumes/metadata.db"));
  CHECK_FALSE(outlast_late_engines(std::chrono::milliseconds(300)));
}
