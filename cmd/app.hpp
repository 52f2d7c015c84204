#pragma once
#include <iosfwd>

namespace drover {

/// The whole program but its process: parses, runs, prints errors, gives back the exit code.
int run_app(int argc, char** argv, std::ostream& out, std::ostream& err);

}  // namespace drover
