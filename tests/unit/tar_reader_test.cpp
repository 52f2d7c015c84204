// What of a tar counts where it says several things: as in Go's archive/tar, by which an engine unpacks a
// layer and computes what its records hold.
#include <doctest/doctest.h>
#include <sys/sysmacros.h>

#include <utility>
#include <vector>

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

/// A plain file's header with these bytes in these places.
std::string header_with(const std::vector<std::pair<std::size_t, std::string>>& fields) {
  std::string header = tar_member('0', "plain");
  for (const auto& [at, bytes] : fields) header.replace(at, bytes.size(), bytes);
  return header_signed(std::move(header));
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

enum class Kind { layer, changes };

/// "file:name", "dir:name", one after the other; or the error.
std::string members_of(const std::string& tar, Kind kind = Kind::layer) {
  TextSource source(tar);
  TarReader reader(source);
  if (kind == Kind::changes) reader.know_own_records();
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
  auto in_hex = [&](const std::string& hex) {
    return members_of(pax_member(pax_record("DROVER.xattr." + hex, "y")) + file + end, Kind::changes);
  };
  CHECK(in_hex("757365722e6100").find("holds a zero byte") != std::string::npos);
  CHECK(in_hex("757365722e61") == "file:plain");
}

TEST_CASE("records of drover's own are unknown keys but in a tar of changes") {
  const std::string end(2 * kTarBlock, '\0');
  for (const char* key : {"DROVER.type", "DROVER.xattr.757365722e61", "DROVER.extents", "DROVER.mark"}) {
    CAPTURE(key);
    std::string tar = pax_member(pax_record(key, "socket")) + tar_member('0', "plain", "content") + end;
    TextSource source(tar);
    TarReader reader(source);
    TarMember member;
    REQUIRE(reader.next(member));
    CHECK(member.type == TarMember::Type::regular);
    CHECK(member.xattrs.empty());
    CHECK(member.drover.empty());
    CHECK(reader.read_all(100) == "content");
  }
  // What an engine takes for a file's content is no next member.
  std::string hidden = tar_member('0', "hidden"),
              tar = pax_member(pax_record("DROVER.type", "socket")) + tar_member('0', "plain", hidden) + end;
  CHECK(members_of(tar) == "file:plain");
  CHECK(members_of(tar, Kind::changes) == "file:plain file:hidden");
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

TEST_CASE("numbers are what an engine takes for them") {
  auto size_of = [](const std::string& text) {
    std::string field = text;
    field.resize(12, '\0');
    std::string tar = header_with({{124, field}}) + tar_padded(std::string(10, 'x'));
    return members_of(tar + tar_member('0', "next"));
  };
  const std::string good = "file:plain file:next";
  for (const std::string& text :
       {std::string("12"), std::string("  12  "), std::string("00000000012 "), std::string("\0\0 12", 5),
        std::string("12\0 7", 5), std::string("\x80\0\0\0\0\0\0\0\0\0\0\x0a", 12)}) {
    CAPTURE(text);
    CHECK(size_of(text) == good);
  }
  for (const std::string& text :
       {std::string("12 \0 7", 6), std::string("1 2"), std::string("18"), std::string("-1")}) {
    CAPTURE(text);
    CHECK(size_of(text).find("its size is no number") != std::string::npos);
  }
  CHECK(size_of(std::string("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12)).find("its size is too large") !=
        std::string::npos);
  CHECK(size_of(std::string(12, '\xff')).find("its size is negative") != std::string::npos);
}

TEST_CASE("a time before 1970 is one, as far as an engine can tell it") {
  auto time_of = [](const std::string& field) {
    std::string tar = header_with({{136, field}});
    TextSource source(tar);
    TarReader reader(source);
    TarMember member;
    reader.next(member);
    return member.mtime.tv_sec;
  };
  const std::string minus(4, '\xff'), least("\x80\0\0\0\0\0\0\0", 8);
  CHECK(time_of(minus + std::string(7, '\xff') + '\xfe') == -2);
  CHECK(time_of(minus + least.substr(0, 7) + '\x01') == INT64_MIN + 1);
  CHECK_THROWS_WITH_AS(time_of(minus + least), doctest::Contains("too small"), Error);
  CHECK_THROWS_WITH_AS(time_of('\xff' + std::string(11, '\0')), doctest::Contains("too large"), Error);
}

TEST_CASE("a header's prefix is where its form has one, and as long as it is there") {
  const std::string ustar("ustar\00000", 8), gnu("ustar  \0", 8), time = "14371573541", zero(1, '\0');
  auto name_in = [](const std::string& magic, std::vector<std::pair<std::size_t, std::string>> fields) {
    fields.emplace_back(257, magic);
    return members_of(header_with(fields));
  };
  auto prefixed = [](const std::string& prefix) { return "file:" + prefix + "/plain"; };

  CHECK(name_in(ustar, {{345, "dir"}}) == prefixed("dir"));
  CHECK(name_in(ustar, {{345, std::string(155, 'p')}}) == prefixed(std::string(155, 'p')));

  const std::pair<std::size_t, std::string> star{508, std::string("tar\0", 4)};
  CHECK(name_in(ustar, {star, {345, "dir"}}) == prefixed("dir"));
  CHECK(name_in(ustar, {star, {345, std::string(131, 'p')}, {476, time + " "}, {488, time + " "}}) ==
        prefixed(std::string(131, 'p')));
  CHECK(name_in(ustar, {star, {345, std::string(155, 'p')}}).find("its time is no number") !=
        std::string::npos);

  CHECK(name_in(gnu, {}) == "file:plain");
  CHECK(name_in(gnu, {{345, time}}) == "file:plain");
  CHECK(name_in(gnu, {{345, time + zero + time}}) == "file:plain");
  CHECK(name_in(gnu, {{345, std::string(24, '\xff')}}) == "file:plain");
  CHECK(name_in(gnu, {{345, "dir/sub"}}) == prefixed("dir/sub"));
  CHECK(name_in(gnu, {{345, std::string(155, 'p')}}) == prefixed(std::string(155, 'p')));
  CHECK(name_in(gnu, {{345, time + "0/sub"}}) == prefixed(time + "0/sub"));
  CHECK(name_in(gnu, {{345, "d\xc3\xad"}}) == "file:plain");
  CHECK(name_in(gnu, {{357, "dir"}}) == "file:plain");

  CHECK(name_in(std::string(8, '\0'), {{345, "dir"}}) == "file:plain");
  CHECK(name_in("ustar 00", {{345, "dir"}}) == "file:plain");
}

TEST_CASE("the oldest form of header has no device") {
  auto device_in = [](const std::string& magic) {
    std::string tar = header_with({{156, "3"}, {257, magic}, {329, "0000005"}, {337, "0000001"}});
    TextSource source(tar);
    TarReader reader(source);
    TarMember member;
    reader.next(member);
    return member.device;
  };
  CHECK(device_in(std::string("ustar\00000", 8)) == makedev(5, 1));
  CHECK(device_in(std::string("ustar  \0", 8)) == makedev(5, 1));
  CHECK(device_in("ustar 00") == 0);
}
