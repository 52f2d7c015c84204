#pragma once
#include <stdexcept>

namespace drover {
[[noreturn]] inline void toml_assertion_failed(const char* what) { throw std::logic_error(what); }
}  // namespace drover

/// toml++ 3.3 asserts what foreign text decides ("[" and a line's end): as an exception that is no end of the
/// process, and in a build without assertions not a licence to go on.
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : drover::toml_assertion_failed("toml++: " #expr))
#include <toml++/toml.h>
