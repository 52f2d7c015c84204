// The JSON scanner: positions only, strict, as the engine's own decoder takes it.
#include "detect/json_scan.hpp"

#include <nlohmann/json.hpp>
#include <optional>

#include "detect/json_edit.hpp"
#include "drivers/sys/printable.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

void check_spans(std::string_view text, const JsonObject& object) {
  promise(object.open < object.close && object.close < text.size(), "the braces are in the text");
  promise(text[object.open] == '{' && text[object.close] == '}', "the braces are braces");
  std::size_t end = object.open + 1;
  for (const JsonMember& m : object.members) {
    promise(end <= m.key.begin && m.key.end < m.value.begin && m.value.begin < m.value.end &&
                m.value.end <= object.close,
            "members are in their order");
    end = m.value.end;
    check_json_value(m.value.of(text));
    std::string_view key = m.key.of(text);
    promise(key.size() >= 2 && key.front() == '"' && key.back() == '"', "a key is a string literal");
    promise_same(json_unquote(json_quote(json_unquote(key))), json_unquote(key),
                 "a key stays the same when quoted");
  }
}

/// An independent judge. It refuses numbers that no double holds, and halves of surrogate pairs, which are
/// JSON.
bool is_json(const std::string& text) {
  try {
    return !nlohmann::json::parse(text).is_discarded();
  } catch (const nlohmann::json::out_of_range&) {
    return true;
  } catch (const nlohmann::json::parse_error& e) {
    return std::string_view(e.what()).find("surrogate") != std::string_view::npos;
  }
}

}  // namespace

FUZZ_TARGET(json_scan) {
  bool is_value = !refused([&] { check_json_value(input); });
  std::optional<JsonObject> object;
  refused([&] { object = scan_json_object(input); });
  if (object) {
    promise(is_value, "an object is a value");
    check_spans(input, *object);
  }
  // But for depth, for bytes that are no UTF-8, which the engine passes over, and for zero bytes, which the judge
  // takes for the end.
  if (is_value)
    promise(is_json(as_utf8(input)), "what is taken is JSON");
  else if (input.size() <= 10000 && !input.starts_with("\xef\xbb\xbf") &&
           input.find('\0') == std::string_view::npos)
    promise(!nlohmann::json::accept(input), "JSON is taken");
}
