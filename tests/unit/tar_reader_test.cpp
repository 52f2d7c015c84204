// What of a tar counts where it says several things: as in Go's archive/tar, by which an engine unpacks a
// layer and computes what its records hold.
#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "migrate/archive/tar_reader.hpp"

using namespace drover;

namespace {

/// The header's checksum made right.
std::string header_signed(std::string header) {
  header.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (char byte : header) sum += static_cast<unsigned char>(byte);
  char digits[8];
  std::snprintf(digits, sizeof digits, "%06o", sum);
  return header.replace(148, 7, std::string(digits, 7));
}

std::string tar_padded(std::string text) {
  text.resize((text.size() + kTarBlock - 1) / kTarBlock * kTarBlock, '\0');
  return text;
}

/// A member with this content: its flag is what makes the content what it is.
std::string tar_member(char flag, const std::string& name, const std::string& content = "") {
  TarMember plain;
  plain.name = name;
  plain.size = content.size();
  std::string header = tar_headers(plain);
  header[156] = flag;
  return header_signed(std::move(header)) + tar_padded(content);
}

std::string pax_record(const std::string& key, const std::string& value) {
  std::size_t rest = key.size() + value.size() + 3, length = rest + 1;
  while (std::to_string(length).size() + rest != length) ++length;
  return std::to_string(length) + " " + key + "=" + value + "\n";
}
std::string pax_member(const std::string& records) { return tar_member('x', "pax", records); }
std::string long_name_member(const std::string& name) {
  return tar_member('L', "././@LongLink", name + '\0');
}

/// "file:name", "dir:name", one after the other; or the error.
std::string members_of(const std::string& tar) {
  TextSource source(tar);
  TarReader reader(source);
  std::string all;
  try {
    for (TarMember one; reader.next(one);)
      all += (all.empty() ? "" : " ") +
             std::string(one.type == TarMember::Type::directory ? "dir:" : "file:") + one.name;
  } catch (const Error& e) {
    return e.what();
  }
  return all;
}

}  // namespace

TEST_CASE("of a tar that names a member twice an engine's choice counts") {
  const std::string zero(kTarBlock, '\0'), end = zero + zero, file = tar_member('0', "plain");
  CHECK(members_of(file + end) == "file:plain");
  CHECK(members_of(pax_member(pax_record("path", "paxed")) + long_name_member("long") + file + end) ==
        "file:long");
  CHECK(members_of(long_name_member("long") + pax_member(pax_record("path", "paxed")) + file + end) ==
        "file:long");
  CHECK(members_of(pax_member(pax_record("path", "")) + file + end) == "file:plain");
  CHECK(members_of(pax_member(pax_record("path", "paxed") + pax_record("path", "")) + file + end) ==
        "file:plain");
  CHECK(members_of(pax_member(pax_record("path", "first")) + pax_member(pax_record("path", "second")) + file +
                   end) == "file:second");
  CHECK(members_of(pax_member(pax_record("path", "paxed")) + pax_member(pax_record("mtime", "1")) + file +
                   end) == "file:plain");
}

TEST_CASE("a global header takes along what stood before it") {
  const std::string end(2 * kTarBlock, '\0'), file = tar_member('0', "plain");
  std::string global = tar_member('g', "pax_global_header", pax_record("path", "global"));
  CHECK(members_of(global + file + end) == "file:plain");
  CHECK(members_of(pax_member(pax_record("path", "paxed")) + global + file + end) == "file:plain");
  CHECK(members_of(long_name_member("long") + global + file + end) == "file:plain");
  CHECK(members_of(global + pax_member(pax_record("path", "paxed")) + file + end) == "file:paxed");
  CHECK(members_of(file + global + end) == "file:plain");
}

TEST_CASE("an attribute's name is not cut at a zero byte, behind which it is another's") {
  const std::string end(2 * kTarBlock, '\0'), file = tar_member('0', "plain"),
                                              opaque("trusted.overlay.opaque\0x", 24);
  for (const std::string& key : {"SCHILY.xattr." + opaque, std::string("path\0", 5), std::string()})
    CHECK(members_of(pax_member(pax_record(key, "y")) + file + end).find("no valid key") !=
          std::string::npos);
  CHECK(members_of(pax_member(pax_record("DROVER.xattr.757365722e6100", "y")) + file + end)
            .find("holds a zero byte") != std::string::npos);
  CHECK(members_of(pax_member(pax_record("DROVER.xattr.757365722e61", "y")) + file + end) == "file:plain");
}

TEST_CASE("a slash at a name's end makes a directory of the oldest kind of member alone") {
  const std::string end(2 * kTarBlock, '\0');
  CHECK(members_of(tar_member('0', "name/") + end) == "file:name/");
  CHECK(members_of(tar_member('\0', "name/") + end) == "dir:name/");
  CHECK(members_of(tar_member('5', "name") + end) == "dir:name");
}

TEST_CASE("the end is two blocks of zeros, or where the tar ends") {
  const std::string zero(kTarBlock, '\0'), file = tar_member('0', "plain");
  CHECK(members_of(file) == "file:plain");
  CHECK(members_of(file + zero) == "file:plain");
  CHECK(members_of(file + zero + zero + file) == "file:plain");
  CHECK(members_of(file + zero + file).find("more behind a block of zeros") != std::string::npos);
}
