// Archives that are cut off, damaged or hostile: each is refused for its fault, and the data root is as it
// was.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "drivers/sys/error.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/archive/archive_stream.hpp"
#include "migrate/archive/changes_writer.hpp"
#include "tests/conformance/archive_host.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/support/sample_root.hpp"

using namespace drover;
using namespace drover::test;

namespace {

using Json = nlohmann::ordered_json;
using Members = std::vector<std::pair<std::string, std::string>>;

/// A small archive, whole and taken apart.
struct Specimen {
  ArchiveHost host{filesystem("ext4"), DriverKind::overlay2};
  std::string whole;
  Members members;

  Specimen() {
    Dir::open(host.beside("")).make_dir("docker", 0710);
    SampleRoot sample(host.root(), SampleRoot::Files::overlay2);
    Digest base = sample.add_layer(std::nullopt, {directory("etc"), file("etc/one", "1"), file("two", "2")});
    Digest app = sample.add_layer(base, {whiteout("two"), file("three", "3"), hard_link_to("four", "three")});
    Digest image = sample.add_image("app:1", app, "/app");
    sample.add_container("box", image, {file("own", "own")}, "said");
    check_done(host.run({"export", "-o", host.beside("archive"), "--compress", "none"}));
    whole = bytes_of(host.beside("archive"));
    TextSource source(whole);
    ArchiveReader reader(source);
    while (const TarMember* member = reader.current()) {
      std::string name = member->name;
      if (name == kArchiveList) break;
      members.emplace_back(name, reader.read_all(1 << 20));
      reader.pass();
    }
  }
  Json head() const { return Json::parse(members.front().second); }
};

/// The members as an archive whose own list is right, so that only the fault itself is one.
std::string archive_of(const Members& members) {
  std::string bytes;
  ArchiveWriter archive([&](std::string_view more) { bytes += more; });
  for (const auto& [name, content] : members) archive.add(name, content);
  archive.finish();
  return bytes;
}

std::string& content(Members& members, const std::string& part) {
  for (auto& [name, text] : members)
    if (name.find(part) != std::string::npos) return text;
  throw std::runtime_error("no member " + part);
}

/// A host to import into, with something in it already.
struct Victim {
  ArchiveHost host{filesystem("ext4"), DriverKind::vfs};
  Victim() {
    ArchiveHost other(filesystem("ext4"), DriverKind::overlay2);
    other.make_sample();
    check_done(other.run({"export", "sample-base:1", "-o", other.beside("base")}));
    check_done(host.run({"import", "-i", other.beside("base")}));
    host.remember();
  }
  Run take(const std::string& bytes) const {
    write_file(host.beside("broken"), bytes);
    return host.run({"import", "-i", host.beside("broken")});
  }
  /// Refused with an error that holds this, and nothing is changed.
  void refuses(const std::string& fault, const std::string& bytes, const std::string& because) const {
    CAPTURE(fault);
    Run run = take(bytes);
    CHECK((run.code == 1 || run.code == 12));
    CHECK_MESSAGE(has(message_of(run), because), message_of(run));
    CHECK(has(message_of(run), "drover: "));
    CHECK(host.changes() == "");
  }
};

std::string changes_tar(const std::function<void(std::string&)>& fill) {
  std::string tar;
  fill(tar);
  return tar + tar_end();
}

TarMember named(const std::string& name, TarMember::Type type = TarMember::Type::regular) {
  TarMember member;
  member.name = name;
  member.type = type;
  member.mode = 0644;
  return member;
}

std::string with_content(TarMember member, const std::string& text) {
  member.size = text.size();
  return tar_headers(member) + text + std::string(tar_padding(text.size()), '\0');
}

}  // namespace

TEST_CASE("an archive that is cut off or damaged as a stream") {
  Specimen specimen;
  Victim victim;
  victim.refuses("empty", "", "it is empty");
  victim.refuses("one zero", std::string(1, '\0'), "ends too early");
  victim.refuses("zeros", std::string(4096, '\0'), "it is empty");
  victim.refuses("text", std::string(2000, 'x'), "its tar is damaged");
  for (int tenth = 0; tenth < 10; ++tenth)
    victim.refuses(
        "cut off after " + std::to_string(tenth) + " tenths",
        specimen.whole.substr(0, specimen.whole.size() * static_cast<std::size_t>(tenth) / 10 + 700),
        "ends too early");
  Members members = specimen.members;
  std::string end = archive_of(members);
  victim.refuses("something behind its end",
                 end.substr(0, end.size() - 1024) + tar_headers(named("more")) + tar_end(),
                 "behind its list");
  for (Compression how : {Compression::gzip, Compression::zstd}) {
    std::string packed;
    Compressor compressor(how, 1, [&](std::string_view more) { packed += more; });
    compressor.write(specimen.whole);
    compressor.finish();
    std::string cut = packed.substr(0, packed.size() / 2);
    victim.refuses("compressed and cut off", cut, "damaged or cut off");
    std::string bent = packed;
    bent[bent.size() / 2] = static_cast<char>(bent[bent.size() / 2] ^ 0x55);
    victim.refuses("compressed and damaged", bent, "the archive cannot be imported: ");
  }
}

TEST_CASE("an archive whose parts do not belong together") {
  Specimen specimen;
  Victim victim;
  auto broken = [&](const std::string& fault, const std::string& because,
                    const std::function<void(Members&)>& spoil) {
    Members members = specimen.members;
    spoil(members);
    victim.refuses(fault, archive_of(members), because);
  };
  auto broken_head = [&](const std::string& fault, const std::string& because,
                         const std::function<void(Json&)>& spoil) {
    broken(fault, because, [&](Members& members) {
      Json head = specimen.head();
      spoil(head);
      members.front().second = head.dump();
    });
  };
  broken_head("a version to come", "knows version 1", [](Json& head) { head["version"] = 2; });
  broken_head("no version", "knows version 1", [](Json& head) { head.erase("version"); });
  broken_head("another format", "is damaged", [](Json& head) { head["format"] = "x"; });
  broken_head("a layer twice", "a layer is there twice",
              [](Json& head) { head["layers"].push_back(head["layers"][0]); });
  broken_head("a layer before its parent", "does not come before it",
              [](Json& head) { std::swap(head["layers"][0], head["layers"][1]); });
  broken_head("a layer that is its own parent", "does not come before it",
              [](Json& head) { head["layers"][0]["parent"] = head["layers"][0]["chain_id"]; });
  broken_head("a wrong chain ID", "does not follow",
              [](Json& head) { head["layers"][1]["chain_id"] = std::string(64, 'a'); });
  broken_head("images that are each other's parents", "comes before itself", [](Json& head) {
    Json other = head["images"][0];
    other["id"] = std::string(64, 'a');
    other["parent"] = head["images"][0]["id"];
    head["images"][0]["parent"] = other["id"];
    head["images"].push_back(other);
  });
  broken_head("an image whose parent is elsewhere", "parent is not in it",
              [](Json& head) { head["images"][0]["parent"] = std::string(64, 'a'); });
  broken_head("an image that is its own parent", "comes before itself",
              [](Json& head) { head["images"][0]["parent"] = head["images"][0]["id"]; });
  broken_head("a path for an ID", "no digest", [](Json& head) { head["images"][0]["id"] = "../../etc"; });
  broken_head("a path for a container's ID", "no digest",
              [](Json& head) { head["containers"][0]["id"] = "../x"; });
  broken_head("a container twice", "a container is there twice",
              [](Json& head) { head["containers"].push_back(head["containers"][0]); });
  broken_head("a container on nothing", "stands on no layer",
              [](Json& head) { head["containers"][0]["parent"] = std::string(64, 'b'); });
  broken_head("a path among the records of distribution", "no such record",
              [](Json& head) { head["distribution"]["../../x"] = "y"; });
  broken_head("a size that is no number", "no number", [](Json& head) { head["layers"][0]["size"] = -1; });
  broken_head("one layer more", "is not what should come there", [](Json& head) {
    Json layer = head["layers"][0];
    layer["diff_id"] = layer["chain_id"] = std::string(64, 'c');
    head["layers"].push_back(layer);
  });
  broken("an image whose layers are not all there", "does not hold together", [&](Members& members) {
    Json head = specimen.head();
    std::string chain = head["layers"][1]["chain_id"], tar = head["layers"][1]["diff_id"];
    head["layers"].erase(1);
    head["containers"].clear();
    members.front().second = head.dump();
    std::erase_if(members, [&](const auto& member) {
      return has(member.first, chain) || has(member.first, "/" + tar) ||
             has(member.first, "drover/containers/");
    });
  });
  broken("no JSON", "no valid JSON", [](Members& members) { members.front().second = "{"; });
  broken("deep JSON", "too deep", [](Members& members) {
    members.front().second = std::string(100'000, '[') + std::string(100'000, ']');
  });
  broken("a configuration that is another", "lacks the configuration", [&](Members& members) {
    std::string name = "blobs/sha256/" + specimen.head()["images"][0]["id"].get<std::string>();
    for (auto& [member, text] : members)
      if (member == name) member = "blobs/sha256/" + std::string(64, 'd');
  });
  broken("a configuration that was changed", "does not match its ID", [&](Members& members) {
    content(members, specimen.head()["images"][0]["id"].get<std::string>()) += " ";
  });
  broken("a layer with another tar", "does not have the diff ID", [&](Members& members) {
    content(members, specimen.head()["layers"][1]["diff_id"].get<std::string>()) += std::string(512, '\0');
  });
  broken("a tar-split of another layer", "`two`: missing", [&](Members& members) {
    content(members, specimen.head()["layers"][1]["chain_id"].get<std::string>() + "/tar-split") =
        content(members, specimen.head()["layers"][0]["chain_id"].get<std::string>() + "/tar-split");
  });
  broken("a tar-split that is none", "damaged tar-split data",
         [&](Members& members) { content(members, "/tar-split") = "x"; });
  broken("members in another order", "is not what should come there",
         [](Members& members) { std::swap(members[members.size() - 1], members[members.size() - 2]); });
  broken("a member that nobody knows", "is not what should come there", [](Members& members) {
    members.insert(members.end() - 1, {"drover/other", "x"});
  });
  broken("no writable layer", "is not what should come there", [](Members& members) { members.pop_back(); });
}

TEST_CASE("an archive whose list is not right") {
  Specimen specimen;
  Victim victim;
  auto with_list = [&](const std::string& list) {
    std::string bytes;
    ArchiveWriter archive([&](std::string_view more) { bytes += more; });
    for (const auto& [name, text] : specimen.members) archive.add(name, text);
    archive.add(kArchiveList, list);
    return bytes + tar_end();
  };
  victim.refuses("no entries", with_list(R"({"version": 1, "entries": []})"), "as many members");
  victim.refuses("no list", with_list("x"), "no valid JSON");
  victim.refuses("another version", with_list(R"({"version": 9, "entries": []})"), "another version");
  std::string other = specimen.whole;
  std::size_t at = other.find("\"sha256\":\"") + 10;
  other[at] = other[at] == '0' ? '1' : '0';
  victim.refuses("a wrong digest", other, "is not what the list of members says");
  victim.refuses("none", specimen.whole.substr(0, specimen.whole.find(kArchiveList)) + tar_end(),
                 "it ends too early");
}

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

TEST_CASE("no change of a byte goes unnoticed") {
  Specimen specimen;
  Victim victim;
  std::mt19937 random(20261128);
  std::size_t taken = 0;
  for (int i = 0; i < 150; ++i) {
    std::string bytes = specimen.whole;
    std::size_t at = random() % bytes.size();
    auto flip = static_cast<char>(1 << random() % 8);
    bytes[at] = static_cast<char>(bytes[at] ^ flip);
    CAPTURE(at);
    Run run = victim.take(bytes);
    if (run.code != 0) {
      CHECK(has(message_of(run), "drover: "));
      CHECK(victim.host.changes() == "");
      continue;
    }
    // In padding, or a header's field that means nothing.
    ++taken;
    ArchiveHost fresh(filesystem("ext4"), DriverKind::overlay2);
    write_file(fresh.beside("archive"), bytes);
    check_done(fresh.run({"import", "-i", fresh.beside("archive")}));
    CHECK(fresh.losses_from(specimen.host) == "");
    victim.host.run({"import", "-i", victim.host.beside("broken"), "--on-conflict", "skip"});
    victim.host.remember();
  }
  MESSAGE(taken << " of 150 flips were in bytes that mean nothing");
}
