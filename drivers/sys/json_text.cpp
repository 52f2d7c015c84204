#include "drivers/sys/json_text.hpp"

#include <nlohmann/json.hpp>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

constexpr std::size_t kDeepest = 128;
constexpr std::size_t kMostValues = 1 << 20;
constexpr std::size_t kMostOrderedKeys = 1 << 15;

/// Counts what comes and hands it on to the library's builder of values. The library's own filter looks at
/// all of a container again whenever something in it ends.
template <class Json>
class BoundedBuilder {
 public:
  BoundedBuilder(Json& to, DuplicateKeys duplicates) : builder_(to), duplicates_(duplicates) {}

  bool null() { return count() && builder_.null(); }
  bool boolean(bool value) { return count() && builder_.boolean(value); }
  bool number_integer(typename Json::number_integer_t value) {
    return count() && builder_.number_integer(value);
  }
  bool number_unsigned(typename Json::number_unsigned_t value) {
    return count() && builder_.number_unsigned(value);
  }
  bool number_float(typename Json::number_float_t value, const std::string& text) {
    return count() && builder_.number_float(value, text);
  }
  bool string(std::string& value) { return count() && builder_.string(value); }
  bool binary(typename Json::binary_t& value) { return count() && builder_.binary(value); }
  bool start_object(std::size_t size) {
    enter();
    return builder_.start_object(size);
  }
  bool end_object() { return leave() && builder_.end_object(); }
  bool start_array(std::size_t size) {
    enter();
    return builder_.start_array(size);
  }
  bool end_array() { return leave() && builder_.end_array(); }
  bool key(std::string& name) {
    bool is_new = keys_.back().insert(name).second;
    if (!is_new && duplicates_ == DuplicateKeys::refuse)
      throw Error("has the key `" + printable(name.substr(0, 80)) + "` twice");
    if (!std::is_same_v<Json, nlohmann::json> && keys_.back().size() > kMostOrderedKeys)
      throw Error("has too many keys");
    return builder_.key(name);
  }
  template <class Exception>
  bool parse_error(std::size_t at, const std::string& token, const Exception& e) {
    return builder_.parse_error(at, token, e);
  }

 private:
  bool count() {
    if (++values_ > kMostValues) throw Error("has more than " + std::to_string(kMostValues) + " values");
    return true;
  }
  void enter() {
    count();
    if (keys_.size() == kDeepest) throw Error("is nested too deep");
    keys_.emplace_back();
  }
  bool leave() {
    keys_.pop_back();
    return true;
  }

  nlohmann::detail::json_sax_dom_parser<Json> builder_;
  DuplicateKeys duplicates_;
  std::vector<std::unordered_set<std::string>> keys_;  // of each container that is open
  std::size_t values_ = 0;
};

template <class Json>
Json parse_bounded(std::string_view text, DuplicateKeys duplicates) {
  // The library takes a zero byte for the end of the text, whatever follows; no engine does, and a disk that lost
  // power leaves such texts.
  if (text.find('\0') != std::string_view::npos) throw Error("is no valid JSON");
  Json json;
  BoundedBuilder<Json> builder(json, duplicates);
  try {
    if (!Json::sax_parse(text, &builder)) throw Error("is no valid JSON");
  } catch (const typename Json::exception&) {
    throw Error("is no valid JSON");
  }
  return json;
}

}  // namespace

nlohmann::json parse_json(std::string_view text, DuplicateKeys duplicates) {
  return parse_bounded<nlohmann::json>(text, duplicates);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text) {
  return parse_bounded<nlohmann::ordered_json>(text, DuplicateKeys::refuse);
}

std::optional<nlohmann::json> try_parse_json(std::string_view text) {
  try {
    return parse_json(text);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace drover
