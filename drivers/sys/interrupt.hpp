#pragma once

namespace drover {

/// SIGINT, SIGTERM and SIGHUP ask for a tidy stop from here on; a second one ends the process.
void catch_interrupts();

/// Throws Error(ExitCode::interrupted) once a stop was asked for. Called between entries.
void check_interrupted();

}  // namespace drover
