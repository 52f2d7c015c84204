#include "detect/json_edit.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"

using namespace drover;

namespace {
/// json_set, and a second reader's word that the result is JSON.
std::string set(std::string_view text, std::string_view key, std::string_view value) {
  std::string out = json_set(text, key, value);
  CHECK_MESSAGE(nlohmann::json::accept(out), out);
  CHECK(json_value_text(out, key) == std::string(value));
  return out;
}

std::string remove(std::string_view text, std::string_view key) {
  std::string out = json_remove(text, key);
  CHECK_MESSAGE(nlohmann::json::accept(out), out);
  CHECK(json_value_text(out, key) == std::nullopt);
  return out;
}
}  // namespace

TEST_CASE("json_set adds a member in the manner of the others") {
  CHECK(set("{}", "k", "1") == "{\n  \"k\": 1\n}");
  CHECK(set("{ \n }\n", "k", "1") == "{\n  \"k\": 1\n}\n");
  CHECK(set("{\r\n}\r\n", "k", "1") == "{\r\n  \"k\": 1\r\n}\r\n");
  CHECK(set(R"({"a":1})", "k", "2") == R"({"a":1,"k":2})");
  CHECK(set(R"({"a": 1})", "k", "2") == R"({"a": 1, "k": 2})");
  CHECK(set(R"({ "a": 1, "b": 2 })", "k", "3") == R"({ "a": 1, "b": 2, "k": 3 })");
  CHECK(set("{\n\t\"a\": 1\n}", "k", "2") == "{\n\t\"a\": 1,\n\t\"k\": 2\n}");
  CHECK(set("{\n    \"a\" : [\n        1\n    ]\n}\n", "k", "2") ==
        "{\n    \"a\" : [\n        1\n    ],\n    \"k\" : 2\n}\n");
  CHECK(set("{\r\n  \"a\": 1\r\n}\r\n", "k", "2") == "{\r\n  \"a\": 1,\r\n  \"k\": 2\r\n}\r\n");
  CHECK(set("{\n  \"a\": 1,\n\n  \"b\": 2\n}", "k", "3") == "{\n  \"a\": 1,\n\n  \"b\": 2,\n  \"k\": 3\n}");
  CHECK(set("{\n  \"a\": 1}", "k", "2") == "{\n  \"a\": 1,\n  \"k\": 2}");
}

TEST_CASE("json_set changes a value where it stands and nothing else") {
  CHECK(set("{\"a\": 1,\n \"k\" :  \"old\" ,\"z\":1e5}", "k", "\"new\"") ==
        "{\"a\": 1,\n \"k\" :  \"new\" ,\"z\":1e5}");
  CHECK(set(R"({"k":1,"k":{"k":3},"x":{"k":4}})", "k", "0") == R"({"k":0,"k":0,"x":{"k":4}})");
  const char* config =
      R"({"Config":{"Driver":"x"},"Driver":"vfs","N":12345678901234567890123,"E":"\u003c&\u2028"})";
  CHECK(set(config, "Driver", "\"overlay2\"") ==
        R"({"Config":{"Driver":"x"},"Driver":"overlay2","N":12345678901234567890123,"E":"\u003c&\u2028"})");
}

TEST_CASE("json_remove takes the comma and the line along") {
  const char* text = "{\n  \"a\": 1,\n  \"b\": [2, {\"a\": 1}],\n  \"c\": 3\n}\n";
  CHECK(remove(text, "a") == "{\n  \"b\": [2, {\"a\": 1}],\n  \"c\": 3\n}\n");
  CHECK(remove(text, "b") == "{\n  \"a\": 1,\n  \"c\": 3\n}\n");
  CHECK(remove(text, "c") == "{\n  \"a\": 1,\n  \"b\": [2, {\"a\": 1}]\n}\n");
  CHECK(remove(text, "d") == text);
  CHECK(remove("{\n  \"a\": 1\n}", "a") == "{\n}");
  CHECK(remove("{}", "a") == "{}");
  CHECK(remove(R"({"a":1, "b":2})", "a") == R"({"b":2})");
  CHECK(remove(R"({"a":1 , "b":2 })", "b") == R"({"a":1 })");
  CHECK(remove(R"({"a":1,"k":2,"k":3,"b":4,"k":5})", "k") == R"({"a":1,"b":4})");
  CHECK(remove(R"({"k":1,"k":2})", "k") == "{}");
}

TEST_CASE("keys are compared by what they mean, and the last of repeated keys counts") {
  CHECK(json_value_text(R"({"\u0044river":1})", "Driver") == "1");
  CHECK(json_value_text(R"({"a\"b\\\/\n":1})", "a\"b\\/\n") == "1");
  CHECK(json_value_text(R"({"\ud83d\ude00":1})", "\xf0\x9f\x98\x80") == "1");
  CHECK(json_value_text(R"({"\ud83d":1})", "\xef\xbf\xbd") == "1");
  CHECK(json_value_text(R"({"a":1,"a": [ 2 ] })", "a") == "[ 2 ]");
  CHECK(json_value_text(R"({"x":{"a":1}})", "a") == std::nullopt);
  CHECK(set(R"({"\u006b": 1})", "k", "2") == R"({"\u006b": 2})");
}

TEST_CASE("what is no JSON object is refused") {
  for (const char* text : {"",
                           " ",
                           "[]",
                           "1",
                           "{",
                           "}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{,}",
                           "{\"a\":1 \"b\":2}",
                           "{a:1}",
                           "{\"a\":01}",
                           "{\"a\":1.}",
                           "{\"a\":-}",
                           "{\"a\":1e}",
                           "{\"a\":+1}",
                           "{\"a\":tru}",
                           "{\"a\":[1,]}",
                           "{\"a\":[1}",
                           "{\"a\":{\"b\":1]}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\\u12g4\"}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":\"",
                           "{\"a\":\"\\",
                           "{\"a\":\"\\u1",
                           "{} {}",
                           "{}x",
                           "// c\n{}",
                           "{\"a\":nan}",
                           "{\"a\":{1:2}}",
                           "{\"a\":{,}}"}) {
    CAPTURE(text);
    const bool other_reader_takes_it = nlohmann::json::accept(text) && text[0] == '{';
    CHECK_FALSE(other_reader_takes_it);
    CHECK_THROWS_AS(json_value_text(text, "a"), Error);
    CHECK_THROWS_AS(json_set(text, "a", "1"), Error);
    CHECK_THROWS_AS(json_remove(text, "a"), Error);
  }
  CHECK_THROWS_AS(json_set("{}", "a", "1,\"b\":2"), Error);
  CHECK_THROWS_AS(json_set("{}", "a", ""), Error);
}

TEST_CASE("a refusal says where and why") {
  CHECK_THROWS_WITH(json_value_text("{\n  \"a\": 1\n  \"b\": 2\n}", "a"),
                    "not JSON: `,` or `}` expected at line 3, column 3");
  CHECK_THROWS_WITH(json_value_text("\xef\xbb\xbf{}", "a"), doctest::Contains("byte order mark"));
}

TEST_CASE("hostile nesting and size neither crash nor hang") {
  std::string deep = "{\"a\":" + std::string(5'000'000, '[');
  CHECK_THROWS_WITH(json_value_text(deep, "a"), doctest::Contains("less nesting"));
  std::string nested = "{\"a\":" + std::string(9999, '[') + std::string(9999, ']') + "}";
  CHECK(json_value_text(nested, "a")->size() == 2 * 9999);
  std::string many = "{\"k\":0";
  for (int i = 0; i < 300'000; ++i) many += ",\"k\":1";
  CHECK(json_remove(many + "}", "k") == "{}");
}

TEST_CASE("json_quote writes what JSON reads back") {
  std::string text = std::string("a\"b\\c\n\x01/<\xc3\xa4", 12);
  CHECK(nlohmann::json::parse(json_quote(text)).get<std::string>() == text);
}
