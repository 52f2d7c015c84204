#pragma once
#include <optional>
#include <string>
#include <vector>

namespace drover {

struct ProcessResult {
  int exit_code = -1;  ///< 128 + signal number if a signal ended it
  std::string out, err;
};

/// Runs a program by argument vector, never through a shell, with an empty standard input; waits for it.
/// Throws SystemError if it cannot be started. At most 16 MiB of each output are kept.
ProcessResult run_process(const std::vector<std::string>& argv);

/// Where `program` is in PATH (or the system's sbin directories), if anywhere.
std::optional<std::string> find_program(const std::string& program);

}  // namespace drover
