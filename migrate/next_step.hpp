#pragma once
#include <string>

#include "drivers/sys/error.hpp"
#include "migrate/migration_folder.hpp"

namespace drover {

/// What the user can do about one in this state.
std::string next_step(MigrationState);
std::string next_step(const MigrationRecord&, MigrationState);

/// A hint that tells what to do about an error itself, and after that about what is open.
std::string with_next_step(const std::string& hint, const MigrationFolder&);

/// Runs `f`; an Error on its way out names the next step.
template <class F>
void naming_next_step(const MigrationFolder& folder, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    throw Error(e.code(), e.what(), with_next_step(e.hint(), folder));
  }
}

}  // namespace drover
