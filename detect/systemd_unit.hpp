#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace drover {

/// One word of a command line and the file that it comes from.
struct OriginWord {
  std::string text, origin;
};

/// What systemd would run for a service: the words of ExecStart after its environment is put in, and that
/// environment
/// ("NAME=value"). Specifiers (%i) stay as they are written.
struct ServiceCommand {
  std::vector<OriginWord> words;
  std::vector<OriginWord> environment;
};

/// Reads `unit` ("docker.service") with its drop-ins from systemd's unit folders below `root`, or below
/// `folder` alone if that is not empty. No words if there is no such unit, or if it is masked.
ServiceCommand read_service(const std::string& root, const std::string& unit, const std::string& folder = {});

/// The assignments of an environment file (/etc/default/docker), quotes and comments taken off.
std::vector<OriginWord> parse_environment_file(std::string_view text, const std::string& origin);

/// Words as systemd and a shell split them: blanks, quotes, backslashes.
std::vector<std::string> split_words(std::string_view text);

}  // namespace drover
