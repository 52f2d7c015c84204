// Edits of an object's top level: text, key and value. Only what is asked for changes.
#include "detect/json_edit.hpp"

#include "detect/json_scan.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

/// Keys and values but those of `key`, as they are written.
std::vector<std::string> members_but(std::string_view text, std::string_view key) {
  std::vector<std::string> members;
  for (const JsonMember& m : scan_json_object(text).members)
    if (json_unquote(m.key.of(text)) != key)
      members.push_back(std::string(m.key.of(text)) + ":" + std::string(m.value.of(text)));
  return members;
}

std::string without_space_around(std::string text) {
  while (!text.empty() && is_json_space(text.back())) text.pop_back();
  while (!text.empty() && is_json_space(text.front())) text.erase(0, 1);
  return text;
}

}  // namespace

FUZZ_TARGET(json_edit) {
  auto part = parts_of(input, 3);
  const std::string &text = part[0], &key = part[1];
  const std::string value = part[2].empty() ? json_quote("new") : without_space_around(part[2]);
  const auto others = members_but(text, key);
  std::string changed, removed;
  if (!refused([&] { changed = json_set(text, key, value); })) {
    promise_same(json_value_text(changed, key).value_or("absent"), value, "a value that was set is there");
    promise(members_but(changed, key) == others, "all other members stay");
    promise_same(json_set(changed, key, value), changed, "set again, nothing changes");
    if (auto old = json_value_text(text, key);
        old && scan_json_object(text).members.size() == others.size() + 1)
      promise_same(json_set(changed, key, *old), text, "with its old value the text is the old one");
  }
  removed = json_remove(text, key);
  promise(!json_value_text(removed, key), "a key that was removed is gone");
  promise(members_but(removed, key) == others, "all other members stay where one is removed");
  if (!json_value_text(text, key)) promise_same(removed, text, "what is not there is not removed");
}
