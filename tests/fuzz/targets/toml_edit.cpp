// Edits of TOML: text, a path (a key a line) and a string to be set there.
#include "detect/toml_edit.hpp"

#include <sstream>

#include "detect/toml_parser.hpp"
#include "drivers/sys/printable.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

/// Everything but what is at `path`, and the tables above it as far as they are empty then.
void forget(toml::table& table, const TomlPath& path, std::size_t at = 0) {
  if (at + 1 == path.size()) {
    table.erase(path[at]);
  } else if (toml::table* below = table[path[at]].as_table()) {
    forget(*below, path, at + 1);
    if (below->empty()) table.erase(path[at]);
  }
}

std::string all_but(std::string_view text, const TomlPath& path) {
  toml::table table = toml::parse(text);
  forget(table, path);
  std::ostringstream out;
  out << toml::json_formatter{table};
  return out.str();
}

}  // namespace

FUZZ_TARGET(toml_edit) {
  auto part = parts_of(input, 3);
  const std::string& text = part[0];
  TomlPath path = lines_of(part[1]);
  if (path.empty()) path = {"storage", "driver"};
  if (path.size() > 5) path.resize(5);
  for (std::string& key : path) key = as_utf8(key.empty() ? "key" : key);
  const std::string value = printable(part[2]);
  toml_strings(text, path);
  toml_integer(text, path);
  toml_keys(text, path);
  const bool there = toml_contains(text, path);
  std::string changed, removed;
  if (!refused([&] { changed = toml_set_string(text, path, value); })) {
    promise_same(toml_string(changed, path).value_or("absent"), value, "a string that was set is there");
    promise_same(all_but(changed, path), all_but(text, path), "all else stays");
    promise_same(toml_set_string(changed, path, value), changed, "set again, nothing changes");
  }
  if (!refused([&] { removed = toml_remove(text, path); })) {
    promise(!toml_contains(removed, path), "a key that was removed is gone");
    promise_same(all_but(removed, path), all_but(text, path), "all else stays where a key is removed");
    if (!there) promise_same(removed, text, "what is not there is not removed");
  }
}
