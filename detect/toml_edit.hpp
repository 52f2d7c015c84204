#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

/// Edits of TOML by source position: comments, order and layout stay. A path is the keys from the top
/// ({"storage", "driver"}). All functions throw Error if `text` is no TOML.
using TomlPath = std::vector<std::string>;

/// The string at this path; nothing if there is none or if it is no string.
std::optional<std::string> toml_string(std::string_view text, const TomlPath&);
/// As toml_string, an integer.
std::optional<std::int64_t> toml_integer(std::string_view text, const TomlPath&);
std::vector<std::string> toml_strings(std::string_view text,
                                      const TomlPath&);  ///< of an array, those that are strings
/// Whether anything stands at this path; the names in a table, in the order of the file (sorted by name).
bool toml_contains(std::string_view text, const TomlPath&);
std::vector<std::string> toml_keys(std::string_view text, const TomlPath&);

/// Sets a string: in place where the key exists, else below its table's header, else below a new header at
/// the end. Throws Error where that cannot be done in place (an inline table).
std::string toml_set_string(std::string_view text, const TomlPath&, std::string_view value);

/// Removes a key with its line and the comment on it; absent is fine.
std::string toml_remove(std::string_view text, const TomlPath&);

}  // namespace drover
