// Archives of other tools' making: what an engine finds in them is what drover does.
#include <doctest/doctest.h>

#include "migrate/archive/changes_writer.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/saved_image.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// The configuration of an image without layers, of about this size.
std::string config_of(std::size_t bytes, const std::string& author = "") {
  return nlohmann::json{{"architecture", "amd64"},
                        {"os", "linux"},
                        {"author", author},
                        {"comment", std::string(bytes, 'x')},
                        {"rootfs", {{"type", "layers"}, {"diff_ids", nlohmann::json::array()}}}}
      .dump();
}

nlohmann::json entry_of(const std::string& config, const std::string& tag) {
  return {{"Config", config}, {"RepoTags", {tag}}, {"Layers", nlohmann::json::array()}};
}

std::string saved(const std::vector<std::pair<std::string, std::string>>& configs,
                  const nlohmann::json& entries) {
  std::string bytes;
  for (const auto& [name, text] : configs) bytes += file_member(name, text);
  return bytes + file_member("manifest.json", entries.dump()) + tar_end();
}

std::string blob(const std::string& text) { return file_member("blobs/sha256/" + sha256_hex(text), text); }

}  // namespace

TEST_CASE("a layer of another tool's has no records of drover's") {
  // As a tar of changes this would be a socket, a file with a mark or with holes, and what is in their
  // content.
  TarMember hidden = named("hidden");
  hidden.mode = 04755;
  std::string content = with_content(hidden, "from the content");
  std::string pax_socket = tar_headers(named("socket", TarMember::Type::socket));
  pax_socket.resize(pax_socket.size() - kTarBlock);
  std::string tar = pax_socket + with_content(named("socket"), content);
  for (const auto& [record, value] : std::vector<std::pair<std::string, std::string>>{
           {kMarkRecord, kMarkGone}, {kContentRecord, kContentKept}, {kExtentsRecord, "100 7+7"}}) {
    TarMember member = named(record);
    member.drover[record] = value;
    tar += with_content(member, "content");
  }
  ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
  write_file(host.beside("saved.tar"), saved_image({tar + tar_end()}));
  check_done(host.run({"import", "-i", host.beside("saved.tar")}));
  Inventory found = host.inventory();
  REQUIRE(found.layers.size() == 1);
  Dir root = Dir::open(host.path("vfs/dir/" + found.layers.begin()->second.cache_id));
  CHECK(root.list().size() == 4);
  CHECK(S_ISREG(root.stat("socket").st_mode));
  CHECK((root.read("socket") == content));
  for (const char* name : {kMarkRecord, kContentRecord, kExtentsRecord}) CHECK(root.read(name) == "content");
}

TEST_CASE("an image that is told of very often is read once, and has all of its names") {
  constexpr int kTimes = 2'000;
  const std::string config = config_of(4 << 20), digest = sha256_hex(config);
  std::string docker, oci;
  {
    auto entries = nlohmann::json::array();
    for (int i = 0; i < kTimes; ++i)
      entries.push_back(entry_of(i % 2 == 0 ? "config" : "copy", "app:" + std::to_string(i)));
    docker = saved({{"config", config}, {"copy", config}}, entries);
  }
  {
    const std::string manifest =
        nlohmann::json{
            {"config",
             {{"mediaType", "application/vnd.oci.image.config.v1+json"}, {"digest", "sha256:" + digest}}},
            {"layers", nlohmann::json::array()},
            {"annotations", {{"long", std::string(4 << 20, 'x')}}}}
            .dump();
    const std::string named = "sha256:" + sha256_hex(manifest);
    nlohmann::json index{{"manifests", nlohmann::json::array()}};
    for (int i = 0; i < kTimes; ++i)
      index["manifests"].push_back(
          {{"digest", named},
           {"annotations", {{"org.opencontainers.image.ref.name", "app:" + std::to_string(i)}}}});
    oci = blob(config) + blob(manifest) + file_member("index.json", index.dump()) + tar_end();
  }
  for (const std::string* archive : {&docker, &oci}) {
    CAPTURE((archive == &oci));
    ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
    write_file(host.beside("saved.tar"), *archive);
    Confined done = drover_confined({"import", "-i", host.beside("saved.tar"), "--data-root", host.root(),
                                     "--config", host.beside("daemon.json")},
                                    {.seconds = 20});
    REQUIRE_MESSAGE(done.text.starts_with("0\n"), done.text);
    Inventory found = host.inventory();
    REQUIRE(found.images.size() == 1);
    CHECK(found.images.begin()->first == digest);
    CHECK(found.images.begin()->second.references.size() == kTimes);
  }
}

TEST_CASE("an archive that contradicts itself, or describes its images without end, is refused") {
  Victim victim;
  const std::string config = config_of(1);
  auto entries = nlohmann::json::array({entry_of("config", "app:1"), entry_of("config", "app:2")});
  entries[1]["Layers"].push_back("config");
  victim.refuses("other layers", saved({{"config", config}}, entries),
                 "names one image twice, with other layers");
  std::vector<std::pair<std::string, std::string>> configs;
  entries = nlohmann::json::array();
  for (int i = 0; i < 10; ++i) {
    configs.emplace_back(std::to_string(i), config_of(15 << 20, std::to_string(i)));
    entries.push_back(entry_of(configs.back().first, "app:" + std::to_string(i)));
  }
  victim.refuses("150 MiB", saved(configs, entries), "says more about its images than an archive may");
}
