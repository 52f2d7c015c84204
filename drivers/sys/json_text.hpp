#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

namespace drover {

/// What becomes of an object that has a key twice. Engines write none; what they would make of one depends on
/// what the key is for.
enum class DuplicateKeys { refuse, last_counts };

/// Foreign text as JSON, in one pass, in time that grows with the text and memory of a bounded multiple of
/// it: of limited depth (128) and number of values (2^20). Throws Error "is no valid JSON", "is nested too
/// deep" and the like, to be put behind the name of what was read. How long a text may be is for who reads it
/// to say.
nlohmann::json parse_json(std::string_view text, DuplicateKeys = DuplicateKeys::refuse);
/// The same with the keys in their order; of 2^15 keys in one object at most, since each is looked for.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

/// Nothing where parse_json would throw.
std::optional<nlohmann::json> try_parse_json(std::string_view text);

}  // namespace drover
