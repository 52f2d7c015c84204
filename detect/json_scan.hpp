#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace drover {

/// A half-open range of a text.
struct TextSpan {
  std::size_t begin = 0, end = 0;
  std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
};

/// A JSON object's top level by position.
struct JsonMember {
  TextSpan key;  ///< with its quotes
  TextSpan value;
};
struct JsonObject {
  std::size_t open = 0, close = 0;  ///< where its braces are
  std::vector<JsonMember> members;
};

/// Reads strict JSON (RFC 8259) by position and builds nothing of what is nested. Throws Error, with line and
/// column, if the text is not one JSON object, or is nested deeper than the engine itself would read.
JsonObject scan_json_object(std::string_view text);

/// Throws Error if the text is not one JSON value.
void check_json_value(std::string_view text);

bool is_json_space(char c);

/// The bytes that a string literal, as it was scanned, stands for.
std::string json_unquote(std::string_view literal);

}  // namespace drover
