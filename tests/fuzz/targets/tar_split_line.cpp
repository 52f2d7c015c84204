// One line of tar-split, which has a JSON scanner of its own.
#include "migrate/tar_split_line.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/fuzz/target.hpp"
#include "tests/support/tar_split_writer.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(tar_split_line) {
  if (input.find('\n') != std::string_view::npos) return;
  TarSplitEntry entry;
  parse_tar_split_line(input, entry);
  const bool segment = entry.kind == TarSplitEntry::Kind::segment;
  promise(entry.size <= INT64_MAX, "a size fits");
  promise(segment || entry.bytes.empty(), "a file has no bytes of its own");
  promise(entry.empty_crc == (entry.crc == std::uint64_t{0}), "no content has the checksum 0");
  // What an independent parser makes of the same line, where that takes it (names in it are UTF-8, keys come
  // once).
  nlohmann::json json = nlohmann::json::parse(input, nullptr, false);
  if (!json.is_object() || std::count(input.begin(), input.end(), ':') != static_cast<long>(json.size()))
    return;
  promise(json["type"] == (segment ? 2 : 1), "the type is as written");
  if (segment && json.contains("payload") && json["payload"].is_string()) {
    std::string text = json["payload"].get<std::string>();
    std::erase_if(text,
                  [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); });  // nettle passes over them
    if (text.size() == test::base64(entry.bytes).size())
      promise(text.substr(0, text.size() / 4 * 4 - std::min<std::size_t>(text.size(), 4)) ==
                  test::base64(entry.bytes)
                      .substr(0, text.size() / 4 * 4 - std::min<std::size_t>(text.size(), 4)),
              "bytes are as written");
  }
  if (!segment && json.contains("name") && json["name"].is_string() && !json.contains("name_raw"))
    promise_same(entry.name, json["name"].get_ref<const std::string&>(), "a name is as written");
}
