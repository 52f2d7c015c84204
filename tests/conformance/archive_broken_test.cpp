// Archives that are cut off or damaged: each is refused for its fault, and the data root is as it was.
#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "drivers/sys/sha256.hpp"
#include "tests/conformance/broken_archive.hpp"
#include "tests/support/tar_split_writer.hpp"

using namespace drover;
using namespace drover::test;

namespace {
using Json = nlohmann::ordered_json;
}

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
  // By which nothing of the layer would be read: it leads back to no tar at all.
  broken("a tar-split that names no file", "makes another tar", [&](Members& members) {
    content(members, "/tar-split") = gzip("{\"type\":2,\"payload\":\"\",\"position\":0}\n");
  });
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
