#pragma once
#include <iosfwd>
#include <optional>
#include <string>

namespace drover {

/// What every command gets: where to write, and the options that all commands share. Tests pass their own.
struct Context {
  std::ostream& out;                       ///< results
  std::ostream& err;                       ///< everything else
  bool json = false;                       ///< --format json
  std::string picture{};                   ///< --format dot or svg, for verbs that draw; else empty
  std::optional<std::string> data_root{};  ///< --data-root
  std::optional<std::string> config{};     ///< --config
  bool yes = false;                        ///< -y, --yes
  std::string progress = "auto";           ///< --progress auto|plain|tty|none|json
  int exit_code = 0;                       ///< of a command that ended without an Error
};

}  // namespace drover
