#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace drover {

/// Edits of a JSON object's top level by source position: every byte that is not concerned stays as it was
/// (key order, indentation, number formats, escapes). All functions throw Error if `text` is no JSON object.

/// The source text of a top-level value ("\"overlay2\"", "[ \"a\" ]"); nothing if the key is absent. Of a
/// repeated key the last one counts, as the engine reads it.
std::optional<std::string> json_value_text(std::string_view text, std::string_view key);

/// The first top-level key that starts so, as it reads unquoted.
std::optional<std::string> json_key_starting(std::string_view text, std::string_view start);

/// Sets a top-level key to this JSON text: in place where it exists (each one, if repeated), else as a last
/// member, indented as the others are.
std::string json_set(std::string_view text, std::string_view key, std::string_view value);

/// Removes a top-level key with its comma and line; absent is fine.
std::string json_remove(std::string_view text, std::string_view key);

/// `text` as a JSON string literal.
std::string json_quote(std::string_view text);

}  // namespace drover
