#include <CLI/CLI.hpp>

#include "cmd/commands.hpp"

namespace drover {
void add_info(CLI::App&, Context&) {}
}  // namespace drover
