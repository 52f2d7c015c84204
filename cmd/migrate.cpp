#include <CLI/CLI.hpp>

#include "cmd/commands.hpp"

namespace drover {
void add_migrate(CLI::App&, Context&) {}
}  // namespace drover
