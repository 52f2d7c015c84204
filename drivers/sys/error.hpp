#pragma once
#include <cerrno>
#include <stdexcept>
#include <string>

namespace drover {

/// The exit codes of the program: a promise, listed in --help and the README.
enum class ExitCode : int {
  done = 0,
  failed = 1,
  usage = 2,
  partial = 3,        ///< done in part
  not_usable = 10,    ///< the driver cannot be used here
  in_use = 11,        ///< the data root is in use, or a migration is open
  proof_failed = 12,  ///< the proof found a difference, or the source is damaged
  interrupted = 130,
};

/// The one exception type: what failed on what and why (one line, lower case, no full stop), and a hint: the
/// next step for the user, possibly empty. Thrown where the call fails; caught in main. Both texts are made
/// printable() here: whatever foreign bytes are named in them, they steer no terminal and stay one line.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& what, const std::string& hint = {});
  explicit Error(const std::string& what, const std::string& hint = {})
      : Error(ExitCode::failed, what, hint) {}
  ExitCode code() const noexcept { return code_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  ExitCode code_;
  std::string hint_;
};

/// A failed system call. Keeps the errno, since ENOSPC and a few others are answered by name.
class SystemError : public Error {
 public:
  SystemError(const std::string& what, int number);
  /// With a hint of its own.
  SystemError(const std::string& what, int number, const std::string& hint);
  int number() const noexcept { return number_; }

 private:
  int number_;
};

/// Whether an error says that what is on disk is not as it should be: not an interruption, nor somebody who
/// is using it, nor settings that are not enough to read it, nor a failure of the host's (no memory, no
/// descriptors, no right) that may be gone the next time.
bool is_damage(const Error&);

/// Throws SystemError "`what`: <text of errno>", e.g. throw_errno("cannot open `/x`").
[[noreturn]] void throw_errno(const std::string& what, int number = errno);

/// The text of an errno ("no space left on device"), lower case as our messages are.
std::string errno_text(int number);

/// Runs `f`; an Error on its way out gets "`context`: " in front of its text. Its code and hint stay.
template <class F>
auto with_context(const std::string& context, F&& f) {
  try {
    return f();
  } catch (const SystemError& e) {
    throw;  // names its path already
  } catch (const Error& e) {
    throw Error(e.code(), context + ": " + e.what(), e.hint());
  }
}

}  // namespace drover
