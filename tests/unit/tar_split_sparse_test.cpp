#include "migrate/tar_split_sparse.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "drivers/sys/error.hpp"
#include "tests/support/tar_split_writer.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr std::size_t kHeaderSize = 512;

std::string padded(std::string text) {
  text.resize((text.size() + kHeaderSize - 1) / kHeaderSize * kHeaderSize, '\0');
  return text;
}

std::string header_of(const std::string& name, std::size_t size, char type = '0') {
  std::string h(kHeaderSize, '\0');
  h.replace(0, name.size(), name);
  char octal[12];
  std::snprintf(octal, sizeof octal, "%011zo", size);
  h.replace(124, 11, octal);
  h[156] = type;
  put_checksum(h);
  return h;
}

std::string pax_record(const std::string& text) {
  std::string rest = " " + text + "\n";
  std::size_t length = rest.size() + 2;
  if (length > 99) ++length;
  return std::to_string(length) + rest;
}

std::string pax_header(const std::string& records, char type = 'x') {
  return header_of("pax", records.size(), type) + padded(records);
}

const std::string kSparse = pax_header(pax_record("mtime=1.5") + pax_record("GNU.sparse.major=1"));

/// A recipe's lines, with what an engine tells of a file's content left out.
struct Recipe {
  std::string lines;
  Recipe& segment(const std::string& bytes) {
    lines += R"({"type":2,"payload":")" + base64(bytes) + "\"}\n";
    return *this;
  }
  Recipe& file(const std::string& name, std::size_t size = 0, bool has_content = true) {
    std::string sum = base64(std::string(7, '\0') + (has_content ? "\1" : std::string(1, '\0')));
    lines += R"({"type":1,"name":")" + name + "\",\"size\":" + std::to_string(size) +
             ",\"payload\":" + (size > 0 ? "\"" + sum + "\"" : "null") + "}\n";
    return *this;
  }
  /// The sparse member's name; empty: there is none.
  std::string found() const {
    TarSplitReader reader(memory_file(gzip(lines)));
    return find_sparse_member(reader).value_or("");
  }
};

std::string zeros(std::size_t size) { return std::string(size, '\0'); }

}  // namespace

TEST_CASE("sparse members that an engine has recorded are found, in each spelling") {
  for (const char* version : {"0.0", "0.1", "1.0"}) {
    CAPTURE(version);
    std::ifstream in(std::string(TESTS_DIR) + "/unit/data/sparse_pax_" + version + ".json.gz",
                     std::ios::binary);
    std::string gz((std::istreambuf_iterator<char>(in)), {});
    REQUIRE(!gz.empty());
    TarSplitReader reader(memory_file(gz));
    CHECK(find_sparse_member(reader).value_or("") == "sparse");
  }
}

TEST_CASE("a sparse member is found behind members of every form") {
  const std::string sparse = kSparse + header_of("f", 512);
  auto behind = [&](Recipe recipe, std::size_t padding) {
    return recipe.segment(zeros(padding) + sparse).file("f", 4096).found();
  };
  CHECK(behind({}, 0) == "f");
  CHECK(behind(Recipe().segment(header_of("d/", 0, '5')).file("d/"), 0) == "f");
  CHECK(behind(Recipe().segment(header_of("a", 5)).file("a", 5), 507) == "f");
  CHECK(behind(Recipe().segment(header_of("a", 1024)).file("a", 1024), 0) == "f");
  std::string large = header_of("a", 1024);
  large.replace(124, 12, "\x80" + zeros(11));
  put_checksum(large);
  CHECK(behind(Recipe().segment(large).file("a", 1024), 0) == "f");
  // A hard link may state the size of what it leads to, and has no content.
  CHECK(behind(Recipe().segment(header_of("l", 5, '1')).file("l", 5, false), 0) == "f");
  CHECK(behind(Recipe().segment(pax_header(pax_record("path=long")) + header_of("a", 5)).file("long", 5),
               507) == "f");
  CHECK(behind(Recipe()
                   .segment(header_of("long", 700, 'L') + padded(std::string(700, 'n')) + header_of("n", 0))
                   .file("n"),
               0) == "f");
  // A global header is a member for tar-split; its records are in the segment, or were content once.
  CHECK(behind(Recipe().segment(header_of("g", 18, 'g') + "18 comment=abcdef\n").file("g"), 494) == "f");
  CHECK(behind(Recipe().segment(header_of("g", 18, 'g')).file("g", 18), 494) == "f");
  // Bytes may be cut up anyhow.
  Recipe cut;
  for (char byte : sparse) cut.segment({byte});
  CHECK(cut.file("f", 4096).found() == "f");
}

TEST_CASE("what is no sparse member is not taken for one") {
  auto found = [](const std::string& headers) { return Recipe().segment(headers).file("f", 4096).found(); };
  const std::string plain = header_of("f", 4096);
  CHECK(found(kSparse + plain) == "f");
  CHECK(found(plain) == "");
  CHECK(found("") == "");
  CHECK(found("no header") == "");
  CHECK(found(zeros(1024) + kSparse + plain) == "");  // behind the end
  // No engine unpacks GNU's old form.
  CHECK(found(header_of("f", 4096, 'S')) == "");
  // Names and values are no keys.
  CHECK(found(pax_header(pax_record("path=30 GNU.sparse.major=1")) + plain) == "");
  CHECK(found(pax_header(pax_record("path=a\n22 GNU.sparse.major=1")) + plain) == "");
  CHECK(found(header_of("22 GNU.sparse.major=1\n", 0)) == "");
  // Of two such headers the last one counts, and none where a global one comes between.
  CHECK(found(kSparse + pax_header(pax_record("mtime=1")) + plain) == "");
  CHECK(found(kSparse + header_of("x", 0, 'x') + plain) == "");
  CHECK(found(kSparse + pax_header(pax_record("comment=c"), 'g') + plain) == "");
  CHECK(found(pax_header(pax_record("GNU.sparse.major=1"), 'g') + plain) == "");
  // Nor where a header is damaged.
  std::string damaged = kSparse + plain;
  damaged[kHeaderSize + kHeaderSize + 106] ^= 1;
  CHECK(found(damaged) == "");
  damaged = kSparse + plain;
  damaged[106] ^= 1;
  CHECK(found(damaged) == "");
  CHECK(found(pax_header("99 GNU.sparse.major=1\n") + plain) == "");
  CHECK(found(pax_header("GNU.sparse.major=1\n") + plain) == "");
  CHECK(found(header_of("x", 2 << 20, 'x') + std::string(2 << 20, ' ') + plain) == "");
  CHECK(Recipe().segment(kSparse).file("?").segment(plain).file("f", 4096).found() == "");
  // Its records are not all there.
  CHECK(found(kSparse.substr(0, kHeaderSize + 10)) == "");
  // Nor its own header.
  CHECK(found(kSparse) == "");
  CHECK(found(kSparse + plain.substr(0, 100)) == "");
  CHECK(found(kSparse + header_of("long", 3, 'L') + padded("abc")) == "");
}
