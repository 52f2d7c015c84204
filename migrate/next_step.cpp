#include "migrate/next_step.hpp"

namespace drover {

std::string next_step(MigrationState state) {
  switch (state) {
    case MigrationState::reading:
    case MigrationState::staging:
    case MigrationState::switching:
      return "`drover migrate --resume` finishes it, `drover rollback` gives it up";
    case MigrationState::switched:
      return "`drover commit` deletes the old data, `drover rollback` goes back to it";
    case MigrationState::rolling_back:
      return "`drover rollback` finishes that";
    case MigrationState::committing:
      return "`drover commit` finishes that";
    case MigrationState::ended:
      break;
  }
  return "`drover rollback` or `drover commit` removes what it has left";
}

std::string next_step(const MigrationRecord& record, MigrationState state) {
  if (!record.import) return next_step(state);
  switch (state) {
    case MigrationState::reading:
      return "`drover rollback` clears it away; then import the archive again";
    case MigrationState::rolling_back:
      return "`drover rollback` finishes that";
    case MigrationState::committing:
      return "`drover import --resume` finishes it";
    default:
      return "`drover import --resume` finishes it, `drover rollback` gives it up";
  }
}

std::string with_next_step(const std::string& hint, const MigrationFolder& folder) {
  for (const char* way : {"drover rollback", "drover commit", "--resume"})
    if (hint.find(way) != std::string::npos) return hint;
  return (hint.empty() ? "" : hint + "; then ") + next_step(folder.record(), folder.state());
}

}  // namespace drover
