#pragma once
#include <stdexcept>

/// toml++ 3.3 asserts what foreign text decides ("[" and a line's end): as an exception that is no end of the
/// process, and in a build without assertions not a licence to go on.
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : throw std::logic_error("toml++: " #expr))
#include <toml++/toml.h>
