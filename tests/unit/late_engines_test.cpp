#include "detect/late_engines.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "detect/data_root.hpp"
#include "drivers/sys/fd.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

/// A command line, and a program that does nothing with those arguments as long as its input stays open.
struct Command {
  std::vector<std::string> words;
  std::string program;
};
const Command kDockerd{{"dockerd"}, "cat"};
const Command kCommands[] = {kDockerd, {{"/usr/bin/docker", "daemon"}, "tee"}, {{"docker", "-d"}, "base64"}};

/// A process with this command line that has locked this file; both is so once the constructor is through.
class Engine {
 public:
  Engine(const std::string& file, const Command& command) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    input_ = Fd(ends[1]);
    Fd output(ends[0]);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) run(file, command, output.get());
    std::string line;
    for (const std::string& word : command.words) line += word + '\0';
    for (int tries = 0; command_line() != line && tries < 1000; ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(command_line() == line);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::string pid() const { return std::to_string(pid_); }

 private:
  [[noreturn]] static void run(const std::string& file, const Command& command, int input) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::dup2(input, 0) != 0) ::_exit(1);
    // Not the parent's, which are a lock of this root.
    ::close_range(3, ~0U, 0);
    int lock = ::open(file.c_str(), O_RDONLY);
    if (lock < 0 || ::flock(lock, LOCK_SH) != 0) ::_exit(1);
    // What tee writes is to be in the test's folder.
    if (::chdir(file.substr(0, file.rfind('/')).c_str()) != 0) ::_exit(1);
    std::vector<char*> words;
    for (const std::string& word : command.words) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(command.program.c_str(), words.data());
    ::_exit(1);
  }
  std::string command_line() const {
    std::ifstream in("/proc/" + pid() + "/cmdline", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  pid_t pid_ = -1;
  Fd input_;
};
}  // namespace

TEST_CASE("an engine that has found another data root is not waited for, one of this root is") {
  HostTree tree;
  tree.write("/one/volumes/metadata.db", "");
  tree.write("/other/volumes/metadata.db", "");
  Fd ours(::open(tree.path("/one/volumes/metadata.db").c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(ours);
  {
    Engine other(tree.path("/other/volumes/metadata.db"), kDockerd);
    CHECK(outlast_late_engines());
  }
  for (const Command& command : kCommands) {
    CAPTURE(command.program);
    Engine same(tree.path("/one/volumes/metadata.db"), command);
    CHECK_FALSE(outlast_late_engines(std::chrono::milliseconds(300)));
  }
}

TEST_CASE("who holds the lock is told of engines of all ages, and of no other program") {
  HostTree tree;
  tree.write("/volumes/metadata.db", "");
  for (const Command& command : kCommands) {
    CAPTURE(command.program);
    Engine engine(tree.path("/volumes/metadata.db"), command);
    CHECK(EngineLock::holder(tree.root()) == "dockerd (pid " + engine.pid() + ")");
  }
  Engine other(tree.path("/volumes/metadata.db"), {{"docker", "-"}, "cat"});
  CHECK_FALSE(EngineLock::holder(tree.root()));
}
