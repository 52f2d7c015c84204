#pragma once
#include <memory>

#include "migrate/progress.hpp"

namespace drover {

struct Context;

/// Shows how far a task is on standard error, as --progress says: a moving line on a terminal; plain lines, a
/// dozen a phase, in a log; one JSON object a line; or nothing. "auto": a moving line if standard error is a
/// terminal, else plain lines. With -q nothing.
std::unique_ptr<Progress> make_progress(Context&);

}  // namespace drover
