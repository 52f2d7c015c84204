#pragma once

namespace drover {

/// SIGINT, SIGTERM and SIGHUP ask for a tidy stop from here on; a second one ends the process. One that was
/// ignored when drover was started (nohup) stays so.
void catch_interrupts();

/// Throws Error(ExitCode::interrupted) once a stop was asked for. Called between entries.
void check_interrupted();

/// Waits until `fd` has something to read, or its end. Throws as check_interrupted() does, whenever the stop
/// is asked for: a signal just before the wait is not missed.
void wait_readable(int fd);

/// While one lives, a stop that was asked for waits: what clears away after an interruption comes to its end.
class Uninterrupted {
 public:
  Uninterrupted();
  ~Uninterrupted();
  Uninterrupted(const Uninterrupted&) = delete;
  Uninterrupted& operator=(const Uninterrupted&) = delete;
};

}  // namespace drover
