#pragma once
#include <string>

namespace drover {

struct Context;

/// Asks on the terminal ("Continue? [y/N]"); --yes is a yes. Without a terminal to ask on it throws Error
/// (usage): what changes a host is never done unasked.
bool confirm(Context&, const std::string& question = "Continue?");

/// Throws what confirm would where there is no way to ask: before much work is done for nothing.
void require_answer(const Context&);

/// Says that nothing was changed; the exit code of a verb whose user said no.
int declined();

}  // namespace drover
