#include "detect/program_version.hpp"

#include <map>
#include <memory>
#include <vector>

#include "drivers/sys/error.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

struct Asked {
  std::unique_ptr<RunningProcess> running;
  std::string answer;
};

/// By the program's path: tests, and an administrator's PATH, may have several of a name.
std::map<std::string, Asked>& all_asked() {
  static std::map<std::string, Asked> all;
  return all;
}

Asked* ask(const std::string& name) {
  auto program = find_program(name);
  if (!program) return nullptr;
  if (auto found = all_asked().find(*program); found != all_asked().end()) return &found->second;
  auto running = std::make_unique<RunningProcess>(std::vector<std::string>{*program, "--version"});
  Asked& asked = all_asked()[*program];
  asked.running = std::move(running);
  return &asked;
}

}  // namespace

void ask_version_of(const std::string& program) {
  try {
    ask(program);
  } catch (const Error&) {  // whoever needs the answer is told
  }
}

std::string version_text_of(const std::string& program) {
  Asked* asked = ask(program);
  if (!asked) return "";
  if (auto running = std::move(asked->running)) asked->answer = running->finish().out;
  return asked->answer;
}

}  // namespace drover
