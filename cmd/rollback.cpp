#include <CLI/CLI.hpp>

#include "cmd/commands.hpp"

namespace drover {
void add_rollback(CLI::App&, Context&) {}
}  // namespace drover
