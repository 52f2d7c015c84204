#include <CLI/CLI.hpp>

#include "cmd/commands.hpp"

namespace drover {
void add_commit(CLI::App&, Context&) {}
}  // namespace drover
