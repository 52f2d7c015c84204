#include "detect/toml_edit.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"

using namespace drover;

namespace {
const TomlPath kDriver = {"storage", "driver"};
}

TEST_CASE("toml values are read by path") {
  const char* text = "version = 3\nimports = ['a', 1, \"b\"]\n[plugins.'io.x']\nsnapshotter = 'native'\n";
  CHECK(toml_integer(text, {"version"}) == 3);
  CHECK(toml_strings(text, {"imports"}) == std::vector<std::string>{"a", "b"});
  CHECK(toml_string(text, {"plugins", "io.x", "snapshotter"}) == "native");
  CHECK(toml_string(text, {"version", "x"}) == std::nullopt);
  CHECK(toml_string(text, {"version"}) == std::nullopt);
  for (const char* number : {"version = 3444E44", "version = 2.0", "version = '2'", "version = true"})
    CHECK(toml_integer(number, {"version"}) == std::nullopt);
  CHECK(toml_contains(text, {"plugins"}));
  CHECK(toml_keys(text, {"plugins"}) == std::vector<std::string>{"io.x"});
}

TEST_CASE("a toml string is set where it stands; comments and layout stay") {
  CHECK(toml_set_string("# c\r\n[storage] # x\r\n  driver = 'vfs'  # y\r\n", kDriver, "overlay") ==
        "# c\r\n[storage] # x\r\n  driver = \"overlay\"  # y\r\n");
  CHECK(toml_set_string("\"\xc3\xa4\" = { storage = { driver = '\xc3\xa4', x = 1 } }",
                        {"\xc3\xa4", "storage", "driver"},
                        "vfs") == "\"\xc3\xa4\" = { storage = { driver = \"vfs\", x = 1 } }");
  CHECK(toml_set_string("storage.driver = '''\nx'''\n", kDriver, "vfs") == "storage.driver = \"vfs\"\n");
  CHECK(toml_set_string("[storage]\ndriver = 1", kDriver, "a\"\\\n") ==
        "[storage]\ndriver = \"a\\\"\\\\\\u000A\"");
}

TEST_CASE("a new toml key goes below its table's header, or below a new one at the end") {
  CHECK(toml_set_string("", kDriver, "vfs") == "[storage]\ndriver = \"vfs\"\n");
  CHECK(toml_set_string("a = 1", kDriver, "vfs") == "a = 1\n\n[storage]\ndriver = \"vfs\"\n");
  CHECK(toml_set_string("[storage] # h\n\tgraphroot = 'x'\n[z]\n", kDriver, "vfs") ==
        "[storage] # h\n\tdriver = \"vfs\"\n\tgraphroot = 'x'\n[z]\n");
  CHECK(toml_set_string("[storage]", kDriver, "vfs") == "[storage]\ndriver = \"vfs\"\n");
  CHECK(toml_set_string("[storage.options]\nsize = '1'\n", kDriver, "vfs") ==
        "[storage.options]\nsize = '1'\n\n[storage]\ndriver = \"vfs\"\n");
  CHECK(toml_set_string("[plugins]\n  [plugins.'io.x'.y]\n", {"plugins", "io.x", "y", "snapshotter"},
                        "zfs") == "[plugins]\n  [plugins.'io.x'.y]\n  snapshotter = \"zfs\"\n");
  CHECK(toml_set_string("[plugins]\n", {"plugins", "io.x", "s"}, "zfs") ==
        "[plugins]\n\n[plugins.\"io.x\"]\ns = \"zfs\"\n");
  CHECK(toml_set_string("[a]\nb = 1\n", {"root"}, "/x") == "root = \"/x\"\n\n[a]\nb = 1\n");
}

TEST_CASE("what cannot be set in place is refused") {
  CHECK_THROWS_WITH_AS(toml_set_string("storage = { graphroot = 'x' }\n", kDriver, "vfs"),
                       doctest::Contains("[storage.driver]"), Error);
  CHECK_THROWS_AS(toml_set_string("storage.graphroot = 'x'\n", kDriver, "vfs"), Error);
  CHECK_THROWS_AS(toml_set_string("[storage.driver]\n", kDriver, "vfs"), Error);
  CHECK_THROWS_AS(toml_set_string("storage = 1\n", kDriver, "vfs"), Error);
  CHECK_THROWS_WITH_AS(toml_set_string("a = 1\nb = = 2\n", kDriver, "vfs"), doctest::Contains("line 2"),
                       Error);
  CHECK_THROWS_AS(toml_string("a = 1\na = 2\n", kDriver), Error);
}

TEST_CASE("a toml key is removed with its line") {
  CHECK(toml_remove("[s]\na = 1 # x\nb = [\n 1,\n 2 ] # y\nc = 3\n", {"s", "b"}) ==
        "[s]\na = 1 # x\nc = 3\n");
  CHECK(toml_remove("[s]\na = 1", {"s", "a"}) == "[s]\n");
  CHECK(toml_remove("[s]\n", {"s", "a"}) == "[s]\n");
  CHECK_THROWS_AS(toml_remove("s = { a = 1 }", {"s", "a"}), Error);
}

TEST_CASE("toml that nests without end is refused, and dots elsewhere are not counted") {
  std::string key = "a", many(500, '.');
  for (int i = 0; i < 1'000'000; ++i) key += ".a";
  for (const std::string& text :
       {key + " = 1", "[" + key + "]", "x = { " + key + " = 1 }", std::string(1'000'000, '[')})
    CHECK_THROWS_AS(toml_string(text, kDriver), Error);
  std::string list = "[storage]\ndriver = 'vfs' # " + many + "\nnumbers = [";
  for (int i = 0; i < 500; ++i) list += "1.5,\n";
  list += "]\ntext = \"" + many + "\\\"" + many + "\"\nlong = \"\"\"\n" + many + "\"\"\"\n";
  list += "other = '''" + many + "\n'''\n";
  CHECK(toml_string(list, kDriver) == "vfs");
}
