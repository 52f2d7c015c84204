#include "drivers/sys/json_text.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"

using namespace drover;

namespace {

std::string refusal(const std::string& text) {
  try {
    parse_json(text);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

std::string repeated(const std::string& part, std::size_t times) {
  std::string text;
  text.reserve(part.size() * times);
  while (times-- > 0) text += part;
  return text;
}

}  // namespace

TEST_CASE("records are read as the library reads them") {
  for (const char* text :
       {"{}", "[]", "null", "[1, -2, 3.5, 18446744073709551615, true, \"a\\u00e9\", {\"k\": [null]}]",
        "{\"b\": 1, \"a\": {\"b\": 2}, \"c\": [{\"b\": 3}, {\"b\": 4}]}"}) {
    CAPTURE(std::string(text));
    CHECK(parse_json(text) == nlohmann::json::parse(text));
    CHECK(parse_ordered_json(text).dump() == nlohmann::ordered_json::parse(text).dump());
  }
}

TEST_CASE("what is no JSON is refused") {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":1,}", "{'a':1}", "nul", "1 2", "\"\xff\"",
                           "[1e999999]", "[-1e999999]", "\xef\xbb\xbf{", "{\"a\"}", "[\"\\ud800\"]"}) {
    CAPTURE(std::string(text));
    CHECK(refusal(text) == "is no valid JSON");
    CHECK_FALSE(try_parse_json(text).has_value());
  }
}

TEST_CASE("absurd numbers are numbers, and never wrap round") {
  CHECK(refusal("[" + std::string(100'000, '9') + "]") == "is no valid JSON");
  CHECK(parse_json("18446744073709551616").is_number_float());
  CHECK(parse_json("-9223372036854775809").is_number_float());
  CHECK(refusal("1e400") == "is no valid JSON");
}

TEST_CASE("a key that an object has twice is refused, with its name") {
  CHECK(refusal("{\"Driver\":\"a\",\"x\":1,\"Driver\":\"b\"}") == "has the key `Driver` twice");
  CHECK(refusal("{\"a\":{\"k\\u0065y\":1,\"key\":2}}") == "has the key `key` twice");
  CHECK(refusal("[{\"a\":1},{\"a\":1}]") == "");
  CHECK(refusal("{\"a\":{\"a\":{\"a\":1}}}") == "");
  CHECK(parse_json("{\"a\":1,\"a\":2}", DuplicateKeys::last_counts)["a"] == 2);
}

TEST_CASE("depth and number of values are limited") {
  CHECK(refusal(repeated("[", 128) + repeated("]", 128)) == "");
  CHECK(refusal(repeated("[", 129) + repeated("]", 129)) == "is nested too deep");
  CHECK(refusal(repeated("{\"a\":", 200) + "1" + repeated("}", 200)) == "is nested too deep");
  CHECK(refusal(repeated("[", 1'000'000)) == "is nested too deep");
  CHECK(refusal("[0" + repeated(",0", 1'100'000) + "]").starts_with("has more than "));
  std::string keys = "{";
  for (int i = 0; i < 40'000; ++i) keys += (i ? ",\"" : "\"") + std::to_string(i) + "\":0";
  keys += "}";
  CHECK(refusal(keys) == "");
  CHECK_THROWS_AS(parse_ordered_json(keys), Error);
}

TEST_CASE("the time to read a record grows with its length") {
  // Of half a MB the library's own filter looks at 10^10 values.
  auto before = std::chrono::steady_clock::now();
  CHECK(refusal("[{}" + repeated(",{}", 150'000) + "]") == "");
  CHECK(refusal("[[]" + repeated(",[]", 150'000) + "]") == "");
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(20));
}

TEST_CASE("zero bytes are no end of a text") {
  CHECK(refusal(std::string("{}\0{}", 5)) == "is no valid JSON");
  CHECK(refusal(std::string("{}\0\0\0\0", 6)) == "is no valid JSON");
}
