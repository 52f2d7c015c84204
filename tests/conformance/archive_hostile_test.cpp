// Archives that reach for what is outside of them, or for all of the disk: refused, and nothing is changed.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <functional>

#include "migrate/archive/changes_writer.hpp"
#include "tests/conformance/broken_archive.hpp"

using namespace drover;
using namespace drover::test;

TEST_CASE("a layer or container that reaches for what is outside of it") {
  Specimen specimen;
  Victim victim;
  auto with_changes = [&](const std::string& fault, const std::string& because, const std::string& tar) {
    for (const char* part : {"/changes.000000", "/writable.000000"}) {
      Members members = specimen.members;
      content(members, part) = tar;
      victim.refuses(fault, archive_of(members), because);
    }
  };
  write_file(victim.host.beside("outside"), "outside");
  std::string outside = victim.host.beside("outside");
  with_changes("..", "leads out of its layer",
               changes_tar([&](std::string& tar) { tar += with_content(named("a/../../../outside"), "x"); }));
  with_changes("a symlink to walk over", "leads to no directory of the layer",
               changes_tar([&](std::string& tar) {
                 TarMember link = named("esc", TarMember::Type::symlink);
                 link.target = victim.host.beside("");
                 tar += tar_headers(link) + with_content(named("esc/outside"), "x");
               }));
  with_changes("a hard link to what is outside", "outside of its layer", changes_tar([&](std::string& tar) {
                 TarMember link = named("x", TarMember::Type::hard_link);
                 link.target = "../../../../outside";
                 tar += tar_headers(link);
               }));
  with_changes("a hard link by a full path", "which is not there", changes_tar([&](std::string& tar) {
                 TarMember link = named("x", TarMember::Type::hard_link);
                 link.target = outside;
                 tar += tar_headers(link);
               }));
  with_changes("a hard link to a directory", "to a directory", changes_tar([&](std::string& tar) {
                 TarMember link = named("x", TarMember::Type::hard_link);
                 link.target = "etc";
                 tar += tar_headers(named("etc", TarMember::Type::directory)) + tar_headers(link);
               }));
  with_changes("a device that would hide", "device 0:0", changes_tar([&](std::string& tar) {
                 tar += tar_headers(named("null", TarMember::Type::character));
               }));
  with_changes("an unknown mark", "unknown mark", changes_tar([&](std::string& tar) {
                 TarMember member = named("x");
                 member.drover[kMarkRecord] = "other";
                 tar += tar_headers(member);
               }));
  with_changes("the root is gone", "root is gone", changes_tar([&](std::string& tar) {
                 TarMember member = named("./");
                 member.drover[kMarkRecord] = kMarkGone;
                 tar += tar_headers(member);
               }));
  with_changes("content of what has none", "it is no file", changes_tar([&](std::string& tar) {
                 TarMember member = named("nowhere");
                 member.drover[kContentRecord] = kContentKept;
                 tar += tar_headers(member);
               }));
  for (const char* extents : {"10 20+1", "10 5+1 2+1", "x", "10 0+18446744073709551615",
                              "9223372036854775808 0+1", "10 0+5", "10 0+", "-1 0+1", ""})
    with_changes(std::string("holes at ") + extents, "where its holes are",
                 changes_tar([&](std::string& tar) {
                   TarMember member = named("x");
                   member.drover[kExtentsRecord] = extents;
                   tar += with_content(member, "1");
                 }));
  with_changes("a sparse member", "sparse member", changes_tar([&](std::string& tar) {
                 std::string header = tar_headers(named("x"));
                 header[156] = 'S';
                 unsigned sum = 0;
                 for (std::size_t i = 0; i < 512; ++i)
                   sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(header[i]);
                 char digits[8];
                 std::snprintf(digits, sizeof digits, "%06o", sum);
                 header.replace(148, 7, std::string(digits, 7));
                 tar += header;
               }));
  with_changes("a huge member", "ends too early", changes_tar([&](std::string& tar) {
                 TarMember member = named("x");
                 member.size = std::uint64_t{1} << 62;
                 tar += tar_headers(member);
               }));
  with_changes("a name that is too long", "is longer than 255 bytes", changes_tar([&](std::string& tar) {
                 tar += with_content(named(std::string(5000, 'n')), "x");
               }));
  CHECK(bytes_of(outside) == "outside");
}

TEST_CASE("a container's folder with what an engine would follow") {
  Specimen specimen;
  Victim victim;
  auto with_folder = [&](const std::string& fault, const std::string& because, const std::string& more) {
    Members members = specimen.members;
    std::string& folder = content(members, "/folder.000000");
    folder = folder.substr(0, folder.size() - 1024) + more + tar_end();
    victim.refuses(fault, archive_of(members), because);
  };
  TarMember link = named("hostname", TarMember::Type::symlink);
  link.target = "/etc/shadow";
  with_folder("a symlink", "neither a file nor a folder", tar_headers(link));
  with_folder("a device", "neither a file nor a folder", tar_headers([] {
                TarMember device = named("disk", TarMember::Type::block);
                device.device = 0x800;
                return device;
              }()));
  link.name = "config.v2.json";
  with_folder("a symlink for a configuration", "neither a file nor a folder", tar_headers(link));
  with_folder("no JSON", "no valid JSON", with_content(named("config.v2.json"), "x"));
  auto config = [](const std::string& id, const std::string& name) {
    return with_content(named("config.v2.json"),
                        R"({"ID":")" + id + R"(","Name":")" + name + R"(","Driver":"overlay2"})");
  };
  with_folder("another container's configuration", "is of another container",
              config(std::string(64, 'e'), "/box"));
  with_folder(
      "a key that an engine takes for another", "the key `name`, which no engine writes",
      with_content(named("config.v2.json"), R"({"Name":"/box","name":"/other","Driver":"overlay2"})"));
  with_folder("another container's name", "another name than `box`",
              config(specimen.head()["containers"][0]["id"].get<std::string>(), "/other"));
}

TEST_CASE("a layer larger than the disk ends before that is full") {
  Specimen specimen;
  Victim victim;
  std::string packed = victim.host.beside("bomb");
  Fd file(::open(packed.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
  Compressor compressor(Compression::zstd, 2,
                        [&](std::string_view more) { write_all(file.get(), more, "it"); });
  constexpr std::uint64_t kSize = std::uint64_t{4} << 30;  // the filesystem has two
  std::string first = "blobs/sha256/" + specimen.head()["layers"][0]["diff_id"].get<std::string>();
  for (const auto& [name, text] : specimen.members) {
    TarMember member = named(name);
    if (name != first) {
      compressor.write(with_content(member, text));
      continue;
    }
    TarMember inner = named("zeros");
    inner.size = kSize;
    std::string header = tar_headers(inner);
    member.size = kSize + header.size() + 1024;
    compressor.write(tar_headers(member) + header);
    std::string zeros(1 << 20, '\0');
    for (std::uint64_t i = 0; i < kSize >> 20; ++i) compressor.write(zeros);
    break;
  }
  compressor.finish();
  Run run = victim.host.run({"import", "-i", packed});
  CHECK(run.code == 1);
  CHECK_MESSAGE(has(message_of(run), "not enough space"), message_of(run));
  CHECK(victim.host.changes() == "");
}
