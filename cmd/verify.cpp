#include <CLI/CLI.hpp>

#include "cmd/commands.hpp"

namespace drover {
void add_verify(CLI::App&, Context&) {}
}  // namespace drover
