#pragma once
#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "migrate/archive/archive_stream.hpp"
#include "tests/conformance/archive_host.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/support/sample_root.hpp"

namespace drover::test {

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
  nlohmann::ordered_json head() const { return nlohmann::ordered_json::parse(members.front().second); }
};

/// The members as an archive whose own list is right, so that only the fault itself is one.
inline std::string archive_of(const Members& members) {
  std::string bytes;
  ArchiveWriter archive([&](std::string_view more) { bytes += more; });
  for (const auto& [name, content] : members) archive.add(name, content);
  archive.finish();
  return bytes;
}

inline std::string& content(Members& members, const std::string& part) {
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

inline std::string changes_tar(const std::function<void(std::string&)>& fill) {
  std::string tar;
  fill(tar);
  return tar + tar_end();
}

inline TarMember named(const std::string& name, TarMember::Type type = TarMember::Type::regular) {
  TarMember member;
  member.name = name;
  member.type = type;
  member.mode = 0644;
  return member;
}

inline std::string with_content(TarMember member, const std::string& text) {
  member.size = text.size();
  return tar_headers(member) + text + std::string(tar_padding(text.size()), '\0');
}

}  // namespace drover::test
