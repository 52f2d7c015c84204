#pragma once
#include <functional>
#include <string>
#include <vector>

namespace drover::test {

/// What a run of the program left.
struct Run {
  int code = -1;
  std::string out, err;
};

/// Runs it with these words on its command line, in this process and without a terminal to ask on.
/// `on_line`, if given, is called with each line that it writes to its standard error, as soon as it is
/// there.
Run run_drover(std::vector<std::string> words,
               const std::function<void(const std::string& line)>& on_line = nullptr);

}  // namespace drover::test
