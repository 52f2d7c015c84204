#include "detect/config_root.hpp"

#include "detect/json_edit.hpp"
#include "detect/json_scan.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

/// The engine takes a blank file for an empty object.
std::string object_text(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos ? "{}\n" : text;
}

}  // namespace

std::string config_with_root(const std::string& text, const std::string& root) {
  return json_remove(json_set(object_text(text), kRootKey, json_quote(root)), kOldRootKey);
}

std::optional<std::string> root_of_config(const std::string& text) {
  std::string object = object_text(text);
  for (const char* key : {kRootKey, kOldRootKey})
    if (auto value = json_value_text(object, key); value && value->starts_with('"'))
      if (std::string root = json_unquote(*value); !root.empty()) return root;
  return std::nullopt;
}

void refuse_root_flags(const EngineConfig& config) {
  for (const EngineConfig::Flag& flag : config.flags)
    if (flag.name == kRootKey && !flag.until_restart)
      throw Error("cannot name the data root in `" + config.config_path + "`: there is --data-root " +
                      flag.value + " on the command line of " + flag.where +
                      ", and the engine does not start with both",
                  "take it out there first and name it in the file instead (after a change to a unit: "
                  "systemctl daemon-reload)");
}

}  // namespace drover
