#include <CLI/CLI.hpp>

#include "cmd/commands.hpp"

namespace drover {
void add_select(CLI::App&, Context&) {}
}  // namespace drover
