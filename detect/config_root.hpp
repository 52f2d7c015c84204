#pragma once
#include <optional>
#include <string>

#include "detect/engine_config.hpp"

namespace drover {

/// The keys that name the data root in daemon.json: today's, and the one that engines up to 23 took too.
constexpr const char *kRootKey = "data-root", *kOldRootKey = "graph";

/// daemon.json's text with this data root in it; the old key goes, since the engine does not start with both.
/// `text` may be empty. All else stays, byte for byte.
std::string config_with_root(const std::string& text, const std::string& root);

/// The data root that a daemon.json names, if it does. Throws Error if it cannot be parsed.
std::optional<std::string> root_of_config(const std::string& text);

/// Throws Error if dockerd's command line, as far as it can be seen, names a data root: an engine does not
/// start where daemon.json names one too.
void refuse_root_flags(const EngineConfig&);

}  // namespace drover
