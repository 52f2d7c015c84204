#pragma once
#include <optional>
#include <string>

#include "drivers/sys/dir.hpp"
#include "migrate/store.hpp"

namespace drover {

/// `left-behind.json` in the folder of a migration that keeps going: what of the source was left behind. It
/// is there in each of them, with an empty list where that is nothing: where it is missing, nobody knows.

constexpr const char* kLeftBehindFile = "left-behind.json";

/// On disk when this returns.
void write_left_behind(const Dir& folder, const LeftBehind&);
/// Nothing where it is missing, cannot be read, or makes no sense.
std::optional<LeftBehind> read_left_behind(const Dir& folder);
/// The same for a way back that must leave all of it alone: throws Error there.
LeftBehind require_left_behind(const Dir& folder);

std::string left_behind_text(const LeftBehind&);
/// Nothing for a text that is not, as a whole, what left_behind_text() gives.
std::optional<LeftBehind> parse_left_behind(const std::string& text);

}  // namespace drover
