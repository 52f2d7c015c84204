#pragma once
#include <string>

namespace drover {

/// Starts `PROGRAM --version`, if the program is in PATH and was not asked before. A program in Go takes some
/// 50 ms to answer: what need not be known at once is best asked for first.
void ask_version_of(const std::string& program);

/// What it answers, asked once in a run of drover; empty if there is no such program. Throws SystemError if
/// it cannot be started, and Error if it says too much.
std::string version_text_of(const std::string& program);

}  // namespace drover
