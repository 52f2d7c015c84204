#include "drivers/sys/log.hpp"

#include <atomic>
#include <cstdio>
#include <mutex>

#include "drivers/sys/printable.hpp"

namespace drover {

namespace {
std::atomic<LogLevel> level{LogLevel::normal};
std::mutex mutex;
void (*before_line)() = nullptr;
void (*after_line)() = nullptr;

void print(const char* prefix, const std::string& text) {
  std::lock_guard lock(mutex);
  if (before_line) before_line();
  std::fprintf(stderr, "drover: %s%s\n", prefix, printable(text).c_str());
  if (after_line) after_line();
}
}  // namespace

void set_log_level(LogLevel l) { level = l; }
LogLevel log_level() { return level; }
void log_warning(const std::string& text) { print("warning: ", text); }
void log_note(const std::string& text) {
  if (level != LogLevel::quiet) print("", text);
}
void log_detail(const std::string& text) {
  if (level == LogLevel::verbose) print("", text);
}
void set_log_hooks(void (*before)(), void (*after)()) {
  std::lock_guard lock(mutex);
  before_line = before;
  after_line = after;
}

}  // namespace drover
