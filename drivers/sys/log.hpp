#pragma once
#include <string>

namespace drover {

enum class LogLevel { quiet, normal, verbose };

/// How much goes to standard error; set once by main.
void set_log_level(LogLevel level);
LogLevel log_level();

/// One line on standard error, "drover: ...": a warning also with -q, a note also without -v, a detail only
/// with -v. Any thread may call them. A moving progress line registers itself here to be cleared first.
void log_warning(const std::string& text);
void log_note(const std::string& text);
void log_detail(const std::string& text);

/// Called before a line is printed and after it, under the log's lock; null switches off.
void set_log_hooks(void (*before)(), void (*after)());

}  // namespace drover
