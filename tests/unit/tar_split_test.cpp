#include "migrate/tar_split.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <map>
#include <vector>

#include "drivers/sys/error.hpp"
#include "drivers/sys/sha256.hpp"
#include "tests/support/sample_layer.hpp"
#include "tests/support/tar_split_writer.hpp"

using namespace drover;
using namespace drover::test;

namespace {

using Files = std::map<std::string, std::string>;

std::string block(const std::string& text) { return text + std::string(512 - text.size() % 512, '\0'); }

/// A ustar header in which only what the splitter looks at is filled.
std::string header(const std::string& name, std::size_t size, char type = '0') {
  std::string h(512, '\0');
  h.replace(0, name.size(), name);
  char octal[12];
  std::snprintf(octal, sizeof octal, "%011zo", size);
  h.replace(124, 11, octal);
  h[156] = type;
  return h;
}

std::string pax(const std::string& path) {
  std::string record = " path=" + path + "\n";
  std::size_t length = record.size() + 2;
  if (length > 99) ++length;
  record = std::to_string(length) + record;
  return header("PaxHeaders", record.size(), 'x') + block(record);
}

TarSplitReader reader_of(const std::string& lines) { return TarSplitReader(memory_file(gzip(lines))); }

OpenFile from(const Files& files) {
  return [files](const std::string& name) -> std::optional<Fd> {
    auto found = files.find(name);
    if (found == files.end()) return std::nullopt;
    return memory_file(found->second);
  };
}

std::vector<TarSplitEntry> entries_of(TarSplitReader reader) {
  std::vector<TarSplitEntry> entries;
  for (TarSplitEntry entry; reader.next(entry);) entries.push_back(entry);
  return entries;
}

TarSplitEntry entry_of(const std::string& line) {
  auto entries = entries_of(reader_of(line + "\n"));
  REQUIRE(entries.size() == 1);
  return entries[0];
}

/// The text of the Error with which reading these (compressed) bytes ends.
std::string error_of(const std::string& gz) {
  try {
    entries_of(TarSplitReader(memory_file(gz)));
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

const std::string kSegment = R"({"type":2,"payload":"YWJj","position":0})";

struct SampleTar {
  Files files = {{"bin/tool", std::string(700000, 'x') + "end"},
                 {"caf\xe9", "latin1"},
                 {"a\nb", "newline"},
                 {std::string(180, 'n') + "/long", "pax"},
                 {"<&>\xe2\x80\xa8", "escaped by the engine's encoder"}};
  std::string bytes;
  SampleTar() {
    bytes += header("bin/", 0, '5') + header("empty", 0) + header(".wh.gone", 0);
    for (const auto& [name, content] : files) {
      bytes += name.size() > 100 ? pax(name) + header("short", content.size()) : header(name, content.size());
      bytes += content.size() % 512 == 0 ? content : block(content);
    }
    bytes += std::string(1024 + 512, '\0');
  }
};

}  // namespace

TEST_CASE("a tar is rebuilt to the byte from its tar-split data and its files") {
  SampleTar tar;
  TarSplitReader reader = reader_of(split_tar(tar.bytes));
  std::string rebuilt_bytes;
  Rebuilt rebuilt =
      rebuild_tar(reader, from(tar.files), [&](std::string_view bytes) { rebuilt_bytes += bytes; });
  CHECK(rebuilt.problem == "");
  CHECK(rebuilt.digest == sha256_hex(tar.bytes));
  CHECK(rebuilt.bytes == tar.bytes.size());
  CHECK(rebuilt_bytes == tar.bytes);
  TarSplitReader again = reader_of(split_tar(tar.bytes));
  CHECK(find_changed_file(again, from(tar.files)) == "");
}

TEST_CASE("the tar of a made-up layer is rebuilt, whatever its entries are") {
  std::vector<SampleEntry> entries = {
      directory("d"),
      file("d/content", std::string(1 << 20, 'c')),
      file("d/empty", ""),
      file("d/" + std::string(230, 'l'), "a name too long for a ustar header"),
      file("caf\xe9", "latin1"),
      file("caf\xc3\xa9 \xe2\x82\xac", "UTF-8"),
      file("new\nline", "0123456789"),
      symlink_to("d/symlink", std::string(200, 't')),
      hard_link_to("d/hard", "d/content"),
      fifo("d/fifo"),
      whiteout("d/gone"),
      opaque_directory("o"),
  };
  entries[1].uid = 3'000'000'000;
  entries[2].mtime_s = -86'400;
  Files files;
  for (const SampleEntry& entry : entries)
    if (entry.kind == SampleEntry::Kind::file) files[entry.path] = entry.data;
  std::string tar = make_tar(entries);
  CHECK(tar == make_tar(entries));
  TarSplitReader reader = reader_of(split_tar(tar));
  Rebuilt rebuilt = rebuild_tar(reader, from(files));
  CHECK(rebuilt.problem == "");
  CHECK(rebuilt.digest == sha256_hex(tar));
  std::vector<std::string> names;
  for (const TarSplitEntry& entry : entries_of(reader_of(split_tar(tar))))
    if (entry.kind == TarSplitEntry::Kind::file) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"d/", "d/content", "d/empty", entries[3].path, entries[4].path,
                                          entries[5].path, "new\nline", "d/symlink", "d/hard", "d/fifo",
                                          "d/.wh.gone", "o/", "o/.wh..wh..opq"});
}

TEST_CASE("a file that is not as recorded ends the rebuild and is named") {
  SampleTar tar;
  auto problem_of = [&](const Files& files) {
    TarSplitReader reader = reader_of(split_tar(tar.bytes));
    Rebuilt rebuilt = rebuild_tar(reader, from(files));
    CHECK(rebuilt.digest.empty());
    return rebuilt.problem;
  };
  Files files = tar.files;
  files.erase("caf\xe9");
  CHECK(problem_of(files) == "`caf\\xe9`: missing");
  files = tar.files;
  files["a\nb"] += "!";
  CHECK(problem_of(files) == "`a\\x0ab`: longer than the 7 bytes recorded");
  files["a\nb"] = "new";
  CHECK(problem_of(files) == "`a\\x0ab`: shorter than the 7 bytes recorded");
}

TEST_CASE("a fifo in a file's place is refused") {
  TarSplitReader reader = reader_of(R"({"type":1,"name":"f","size":3,"payload":null})");
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  Fd writer(ends[1]);
  Rebuilt rebuilt = rebuild_tar(reader, [&](const std::string&) { return std::optional<Fd>(Fd(ends[0])); });
  CHECK(rebuilt.problem == "`f`: not a regular file");
}

TEST_CASE("changed content of the same length is found by its checksum") {
  SampleTar tar;
  Files files = tar.files;
  files["bin/tool"][350000] = 'y';
  TarSplitReader reader = reader_of(split_tar(tar.bytes));
  Rebuilt rebuilt = rebuild_tar(reader, from(files));
  CHECK(rebuilt.problem == "");
  CHECK(rebuilt.digest != sha256_hex(tar.bytes));
  TarSplitReader again = reader_of(split_tar(tar.bytes));
  CHECK(find_changed_file(again, from(files)) == "`bin/tool`: its content is not what was recorded");
}

TEST_CASE("a hard link that states a size has no content in the tar") {
  std::string line = R"({"type":1,"name":"link","size":5,"payload":"AAAAAAAAAAA=","position":0})";
  CHECK(entry_of(line).empty_crc);
  TarSplitReader reader = reader_of(kSegment + "\n" + line + "\n");
  Rebuilt rebuilt = rebuild_tar(reader, from({}));
  CHECK(rebuilt.problem == "");
  CHECK(rebuilt.digest == sha256_hex("abc"));
}

TEST_CASE("names come exactly as they are in the tar") {
  auto name_of = [](const std::string& fields) {
    return entry_of(R"({"type":1,)" + fields + R"("payload":null})").name;
  };
  CHECK(name_of(R"("name":"etc/",)") == "etc/");
  CHECK(name_of("") == "");
  CHECK(name_of(R"("name_raw":"Y2Fm6Q==",)") == "caf\xe9");
  CHECK(name_of(R"("name":"a\nb\"\\\/\u003c\u0026\u00e9\u20ac",)") == "a\nb\"\\/<&\xc3\xa9\xe2\x82\xac");
  CHECK(name_of(R"("name":"\ud83d\ude00",)") == "\xf0\x9f\x98\x80");
}

TEST_CASE("keys that are not known and white space are passed over") {
  TarSplitEntry entry = entry_of(R"( { "type" : 1 , "new":"x\"y", "other": true, "name":"f" , "size": 7 } )");
  CHECK(entry.name == "f");
  CHECK(entry.size == 7);
  CHECK_FALSE(entry.crc);
}

TEST_CASE("several gzip members are one stream, a last line needs no newline") {
  std::string gz =
      gzip(kSegment + "\n" + kSegment.substr(0, 9)) + gzip(kSegment.substr(9) + "\n\n" + kSegment);
  auto entries = entries_of(TarSplitReader(memory_file(gz)));
  REQUIRE(entries.size() == 3);
  for (const TarSplitEntry& entry : entries) CHECK(entry.bytes == "abc");
}

TEST_CASE("a damaged stream is an error that names the line") {
  std::string many;
  for (int i = 0; i < 2000; ++i) many += kSegment + "\n";
  std::string gz = gzip(many);
  CHECK(error_of("") == "damaged tar-split data: line 1: the compressed data end too early");
  CHECK(error_of("{\"type\":2}\n") ==
        "damaged tar-split data: line 1: damaged compressed data: incorrect header check");
  CHECK(error_of(gz.substr(0, gz.size() - 3)) ==
        "damaged tar-split data: line 2001: the compressed data end too early");
  CHECK(error_of(gz + "tail") ==
        "damaged tar-split data: line 2001: damaged compressed data: incorrect header check");
  std::string flipped = gz;
  flipped[flipped.size() - 6] ^= 1;
  CHECK(error_of(flipped) ==
        "damaged tar-split data: line 2001: damaged compressed data: incorrect data check");
}

TEST_CASE("a damaged line is an error that names it") {
  auto error_in_line = [](const std::string& line) {
    std::string text = error_of(gzip(kSegment + "\n" + line + "\n"));
    std::string start = "damaged tar-split data: line 2: ";
    CHECK(text.substr(0, start.size()) == start);
    return text.substr(std::min(start.size(), text.size()));
  };
  CHECK(error_in_line("nonsense") == "not a JSON object: expected `{`");
  CHECK(error_in_line(R"({"type":2)") == "not a JSON object: expected `}`");
  CHECK(error_in_line(R"({"type":2} x)") == "something behind the JSON object");
  CHECK(error_in_line(R"({"type":2,"payload":"YW*j"})") == "bad base64");
  CHECK(error_in_line(R"({"type":2,"payload":"YWJ"})") == "bad base64");
  CHECK(error_in_line(R"({"type":1,"name":"f","payload":"AQIDBAUGBwg="})") ==
        "a file with content but without a size");
  CHECK(error_in_line(R"({"type":1,"name":"f","size":3,"payload":"AQID"})") ==
        "a file's checksum that is not of 8 bytes");
  CHECK(error_in_line(R"({"type":1,"size":-1})") == "a number that is none or out of range");
  CHECK(error_in_line(R"({"type":1,"size":9223372036854775808})") == "a number that is none or out of range");
  CHECK(error_in_line(R"({"type":1,"size":1e9})") == "a number that is none or out of range");
  CHECK(error_in_line(R"({"type":3})") == "an entry that is neither file nor segment");
  CHECK(error_in_line("{}") == "an entry that is neither file nor segment");
  CHECK(error_in_line(R"({"type":1,"x":[[[1]]]})") == "a value that is not plain");
  CHECK(error_in_line(R"({"type":1,"name":"\ud800"})") == "a string with half a surrogate pair");
  CHECK(error_in_line(R"({"type":1,"name":"\x"})") == "a string with a bad escape");
}

TEST_CASE("a recorded size that no file has is a problem, not an allocation") {
  TarSplitReader reader =
      reader_of(R"({"type":1,"name":"f","size":9223372036854775807,"payload":"AQIDBAUGBwg="})");
  Rebuilt rebuilt = rebuild_tar(reader, from({{"f", "abc"}}));
  CHECK(rebuilt.problem == "`f`: shorter than the 9223372036854775807 bytes recorded");
}

TEST_CASE("a line without an end is refused before it fills the memory") {
  CHECK(error_of(gzip(std::string((64 << 20) + 1, ' '))) ==
        "damaged tar-split data: line 1: longer than 67108864 bytes");
}

TEST_CASE("tar names are cleaned to relative paths") {
  auto cleaned = [](std::string_view name) { return clean_tar_name(name).value_or("refused"); };
  CHECK(cleaned("etc/passwd") == "etc/passwd");
  CHECK(cleaned("./etc//passwd/") == "etc/passwd");
  CHECK(cleaned("/etc/./passwd") == "etc/passwd");
  CHECK(cleaned("") == "");
  CHECK(cleaned(".") == "");
  CHECK(cleaned("./") == "");
  CHECK(cleaned("/") == "");
  CHECK(cleaned("..") == "refused");
  CHECK(cleaned("a/../b") == "refused");
  CHECK(cleaned("../b") == "refused");
  CHECK(cleaned("a/..") == "refused");
  CHECK(cleaned("..a/b..") == "..a/b..");
  CHECK(cleaned("...") == "...");
  CHECK(cleaned(std::string_view("a\0b", 3)) == "refused");
  CHECK(cleaned("caf\xe9\n") == "caf\xe9\n");
}
