#pragma once
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "drivers/sys/fd.hpp"

namespace drover {

struct ProcessResult {
  int exit_code = -1;  ///< 128 + signal number if a signal ended it
  std::string out, err;
};

/// A program that was started by argument vector, never through a shell, with an empty standard input. It
/// runs while its starter does something else, as long as what it prints fits into a pipe (64 KiB).
class RunningProcess {
 public:
  /// Throws SystemError if it cannot be started.
  explicit RunningProcess(const std::vector<std::string>& argv);
  /// Waits for its end.
  ~RunningProcess();
  RunningProcess(const RunningProcess&) = delete;
  RunningProcess& operator=(const RunningProcess&) = delete;

  /// Waits for its end; once. Throws Error if it says more than 64 MiB.
  ProcessResult finish();

 private:
  int wait();

  std::string name_;
  Fd out_, err_;
  pid_t pid_ = 0;
};

/// Runs a program, as RunningProcess does; waits for it.
/// Throws SystemError if it cannot be started, and Error if it says more than 64 MiB.
ProcessResult run_process(const std::vector<std::string>& argv);

/// Where `program` is in PATH (or the system's sbin directories), if anywhere.
std::optional<std::string> find_program(const std::string& program);

/// When a process started, in ticks since boot (proc(5), field 22 of its stat): with its number it is told
/// from a later one. Empty if there is none.
std::string start_of_process(const std::string& pid);

/// A variable of the environment; empty if it is not set.
std::string environment_value(const char* name);

}  // namespace drover
