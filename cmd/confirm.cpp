#include "cmd/confirm.hpp"

#include <unistd.h>

#include <iostream>

#include "cmd/context.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"

namespace drover {

void require_answer(const Context& context) {
  if (!context.yes && !::isatty(STDIN_FILENO))
    throw Error(ExitCode::usage, "there is no terminal to ask on, so nothing was changed",
                "add --yes to go on without being asked, or --dry-run to see only what would be done");
}

bool confirm(Context& context, const std::string& question) {
  if (context.yes) return true;
  require_answer(context);
  context.out.flush();
  context.err << question << " [y/N] " << std::flush;
  if (std::cin.rdbuf()->in_avail() <= 0) wait_readable(STDIN_FILENO);
  std::string answer;
  std::getline(std::cin, answer);
  check_interrupted();
  return answer == "y" || answer == "Y" || answer == "yes";
}

int declined() {
  log_note("nothing was changed");
  return static_cast<int>(ExitCode::failed);
}

}  // namespace drover
