#include "drivers/sys/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "drivers/sys/error.hpp"
#include "drivers/sys/fd.hpp"

namespace drover {

namespace {
constexpr std::size_t kMost = 64 << 20;

struct SpawnActions {
  posix_spawn_file_actions_t actions;
  SpawnActions() { posix_spawn_file_actions_init(&actions); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions); }
};

void make_pipe(Fd& reader, Fd& writer) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("cannot make a pipe");
  reader = Fd(ends[0]);
  writer = Fd(ends[1]);
}
/// Both streams to their ends: a program that fills the one would else wait for the other to be read. Whether
/// it was more than can be kept.
bool read_both(const Fd& out, const Fd& err, ProcessResult& result) {
  bool too_much = false;
  pollfd polls[2] = {{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}};
  std::string* kept[2] = {&result.out, &result.err};
  while (polls[0].fd >= 0 || polls[1].fd >= 0) {
    if (::poll(polls, 2, -1) < 0 && errno != EINTR) break;
    for (int i = 0; i < 2; ++i) {
      if (polls[i].fd < 0 || !polls[i].revents) continue;
      char block[4096];
      ssize_t n = ::read(polls[i].fd, block, sizeof block);
      if (n > 0 && kept[i]->size() >= kMost) too_much = true;
      if (n > 0 && !too_much) kept[i]->append(block, static_cast<std::size_t>(n));
      if (n == 0 || (n < 0 && errno != EINTR)) polls[i].fd = -1;
    }
  }
  return too_much;
}
}  // namespace

RunningProcess::RunningProcess(const std::vector<std::string>& argv) : name_(argv[0]) {
  Fd out_write, err_write;
  make_pipe(out_, out_write);
  make_pipe(err_, err_write);
  SpawnActions spawn;
  posix_spawn_file_actions_addopen(&spawn.actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&spawn.actions, out_write.get(), 1);
  posix_spawn_file_actions_adddup2(&spawn.actions, err_write.get(), 2);
  std::vector<char*> args;
  for (const auto& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  args.push_back(nullptr);
  if (int e = ::posix_spawnp(&pid_, args[0], &spawn.actions, nullptr, args.data(), environ); e != 0)
    throw_errno("cannot run `" + name_ + "`", e);
}

RunningProcess::~RunningProcess() {
  if (pid_ <= 0) return;
  out_.reset();
  err_.reset();
  wait();
}

int RunningProcess::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

ProcessResult RunningProcess::finish() {
  ProcessResult result;
  const bool too_much = read_both(out_, err_, result);
  result.exit_code = wait();
  // The rest of a list may be what matters.
  if (too_much)
    throw Error("`" + name_ + "` says more than drover can take (" + std::to_string(kMost >> 20) + " MiB)");
  return result;
}

ProcessResult run_process(const std::vector<std::string>& argv) { return RunningProcess(argv).finish(); }

std::optional<std::string> find_program(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream dirs(std::string(path ? path : "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin");
  for (std::string dir; std::getline(dirs, dir, ':');) {
    if (dir.empty()) continue;
    std::string candidate = dir + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

std::string start_of_process(const std::string& pid) {
  std::ifstream stat("/proc/" + pid + "/stat");
  std::string line;
  std::getline(stat, line);
  std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  return field;
}

std::string environment_value(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace drover
