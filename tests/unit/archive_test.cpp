// The parts of an archive that need no root: tars, streams, the head, tar-split, and what to do with
// conflicts.
#include <doctest/doctest.h>
#include <sys/sysmacros.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/archive/archive_head.hpp"
#include "migrate/archive/archive_stream.hpp"
#include "migrate/archive/container_config.hpp"
#include "migrate/archive/import_conflicts.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/archive/oci_layout.hpp"
#include "migrate/archive/tar_split_writer.hpp"
#include "migrate/tar_split.hpp"
#include "tests/support/sample_layer.hpp"
#include "tests/support/store_fixture.hpp"
#include "tests/support/tar_split_writer.hpp"

using namespace drover;
using namespace drover::test;

namespace {

std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "none";
}

TarMember read_one(const std::string& tar) {
  TextSource source(tar);
  TarReader reader(source);
  reader.know_own_records();
  TarMember member;
  REQUIRE(reader.next(member));
  return member;
}

/// The header's checksum made right again.
std::string signed_again(std::string header) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(header[i]);
  char digits[8];
  std::snprintf(digits, sizeof digits, "%06o", sum);
  return header.replace(148, 7, std::string(digits, 7));
}

}  // namespace

TEST_CASE("what is written of a member is read again") {
  TarMember member;
  member.name = std::string(200, 'n') + "/\xff\xfe name";
  member.type = TarMember::Type::character;
  member.mode = 06755;
  member.uid = 3'000'000'000;
  member.gid = 7;
  member.device = makedev(259, 70'000);
  member.xattrs = {{"security.capability", std::string("\0\1\n=\xff", 5)}, {"user.a=b", "value"}};
  member.drover = {{"mark", "gone"}};
  for (timespec time :
       {timespec{0, 0}, timespec{1'700'000'000, 123'456'789}, timespec{-1, 0}, timespec{-1, 999'999'999},
        timespec{-2'000'000'000, 1}, timespec{99'999'999'999, 5}}) {
    CAPTURE(time.tv_sec);
    CAPTURE(time.tv_nsec);
    member.mtime = time;
    TarMember read = read_one(tar_headers(member) + tar_end());
    CHECK(read.name == member.name);
    CHECK(read.type == member.type);
    CHECK(read.mode == member.mode);
    CHECK(read.uid == member.uid);
    CHECK(read.gid == member.gid);
    CHECK(read.device == member.device);
    CHECK(read.xattrs == member.xattrs);
    CHECK(read.drover == member.drover);
    CHECK(read.mtime.tv_sec == time.tv_sec);
    CHECK(read.mtime.tv_nsec == time.tv_nsec);
    CHECK(fingerprint_of(read) == fingerprint_of(member));
  }
  TarMember large;
  large.name = "large";
  large.size = std::uint64_t{20} << 30;
  CHECK(read_one(tar_headers(large)).size == large.size);
  TarMember link;
  link.name = "link";
  link.type = TarMember::Type::hard_link;
  link.target = std::string(300, 't');
  CHECK(read_one(tar_headers(link) + tar_end()).target == link.target);
}

TEST_CASE("a tar that is not right is refused for what is wrong") {
  TarMember member;
  member.name = "name";
  std::string header = tar_headers(member);
  auto refused = [&](const std::string& tar) {
    return error_of([&] {
      TextSource source(tar);
      TarReader reader(source);
      for (TarMember one; reader.next(one);) {
      }
    });
  };
  auto with = [&](std::size_t at, const std::string& bytes) {
    return signed_again(std::string(header).replace(at, bytes.size(), bytes));
  };
  CHECK(refused(header + tar_end()) == "none");
  CHECK(refused("") == "none");
  CHECK(refused(header.substr(0, 100)) == "its tar ends too early");
  CHECK(refused(std::string(header).replace(0, 1, "x")) ==
        "its tar is damaged: a header's checksum is wrong");
  CHECK(refused(with(124, "00000000012") + "short") == "its tar ends too early");
  CHECK(refused(with(124, "0000000001x")) == "its tar is damaged: its size is no number");
  CHECK(refused(with(124, "\xff")) == "its tar is damaged: its size is negative");
  CHECK(refused(with(124, "\x80\x01\x01\x01\x01")) == "its tar is damaged: its size is too large");
  CHECK(refused(with(156, "Z")) == "its tar is damaged: `name` is of the unknown type Z");
  CHECK(refused(with(156, "S")) == "`name` is a sparse member, which no tar-split leads back to");
  CHECK(refused(with(156, "x") + tar_end()) == "its tar is damaged: it ends behind a header");
  auto pax = [&](const std::string& records) {
    std::string first = with(156, "x");
    char size[12];
    std::snprintf(size, sizeof size, "%011zo", records.size());
    first = signed_again(first.replace(124, 12, std::string(size, 12)));
    return first + records + std::string(tar_padding(records.size()), '\0') + header + tar_end();
  };
  CHECK(refused(pax("11 path=abc\n").substr(0, 3000)) ==
        "its tar is damaged: a pax record has a wrong length");
  CHECK(refused(pax("12 path=abc\n")) == "none");
  CHECK(refused(pax("99 path=abc\n")) == "its tar is damaged: a pax record has a wrong length");
  CHECK(refused(pax("x path=abc\n")) == "its tar is damaged: its length is `x`");
  CHECK(refused(pax("5 abc\n")) == "its tar is damaged: a pax record has a wrong length");
  CHECK(refused(pax("12 size=-12\n")) == "its tar is damaged: its size is `-12`");
  CHECK(refused(pax(std::string("13 path=a\0bc\n", 13))) == "its tar is damaged: a name holds a zero byte");
  CHECK(refused(pax("22 GNU.sparse.major=1\n")) ==
        "`name` is a sparse member, which no tar-split leads back to");
  std::string huge = with(156, "x");
  huge = signed_again(huge.replace(124, 11, "77777777777"));
  CHECK(refused(huge + std::string(1000, 'x')) == "its tar is damaged: a header has 8589934591 bytes");
}

TEST_CASE("what is compressed is the same again, and cut off it is an error") {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += std::to_string(i * 7919 % 10007);
  for (Compression how : {Compression::none, Compression::gzip, Compression::zstd}) {
    std::string packed, other;
    for (auto [to, threads] : {std::pair(&packed, 1U), std::pair(&other, 3U)}) {
      Compressor compressor(how, threads, [to = to](std::string_view more) { *to += more; });
      for (std::size_t at = 0; at < text.size(); at += 1000)
        compressor.write(std::string_view(text).substr(at, 1000));
      compressor.finish();
    }
    CHECK((packed == other));
    auto unpacked = [](const std::string& bytes) {
      TextSource source(bytes);
      Decompressor from(source);
      std::string all, block(4096, '\0');
      while (std::size_t n = from.read(block.data(), block.size())) all.append(block, 0, n);
      return all;
    };
    CHECK((unpacked(packed) == text));
    if (how == Compression::none) continue;
    CHECK(packed.size() < text.size() / 2);
    CHECK(
        error_of([&] { unpacked(packed.substr(0, packed.size() / 2)); }).starts_with("its compressed data"));
  }
}

TEST_CASE("an archive's list tells of each change") {
  std::string bytes;
  ArchiveWriter archive([&](std::string_view more) { bytes += more; });
  archive.add("one", "first");
  PartWriter parts(archive, "stream");
  std::string stream(5'000'000, 's');
  parts.write(stream);
  parts.finish();
  archive.finish();
  auto read = [&](const std::string& tar) {
    TextSource source(tar);
    ArchiveReader reader(source);
    if (!reader.current()) return std::string("empty");
    std::string one = reader.read_all(100);
    reader.pass();
    PartSource from(reader, "stream");
    std::string all, block(100'000, '\0');
    while (std::size_t n = from.read(block.data(), block.size())) all.append(block, 0, n);
    reader.check_list();
    return one + " " + std::to_string(all == stream);
  };
  CHECK(read(bytes) == "first 1");
  std::string changed = bytes;
  changed[600] = 'F';
  CHECK(error_of([&] { read(changed); }) == "none");  // in the padding
  changed = bytes;
  changed[512] = 'F';
  CHECK(error_of([&] { read(changed); }) == "`one` is not what the list of members says");
  changed = bytes;
  changed[1'000'000] = 'S';
  CHECK(error_of([&] { read(changed); }) == "`stream.000000` is not what the list of members says");
  CHECK(error_of([&] {
          ArchiveWriter short_one([](std::string_view) {});
          short_one.begin("x", 5);
          short_one.write("1234");
          short_one.end();
        }) == "`x` became another size while it was read");
}

TEST_CASE("more names than an archive's list could hold are refused before they are remembered") {
  /// One member again and again.
  struct Endless : ByteSource {
    std::string member;
    std::size_t at = 0;
    std::size_t read(char* to, std::size_t size) override {
      if (at == member.size()) at = 0;
      std::size_t n = member.copy(to, size, at);
      at += n;
      return n;
    }
  } source;
  TarMember longest;
  longest.name = std::string(60'000, 'n');
  source.member = tar_headers(longest);
  ArchiveReader reader(source);
  std::size_t passed = 0;
  CHECK(error_of([&] {
          for (; passed < 10'000 && reader.current(); ++passed) reader.pass();
        }) == "it has more members, or longer names, than an archive may have");
  CHECK(passed > 1'000);
}

TEST_CASE("the tar-split that is written leads back to the tar") {
  std::string tar = make_tar({directory("d"), file("d/one", std::string(1000, 'x')), file("empty", ""),
                              hard_link_to("d/two", "d/one"), file("\xff\xfe", "bytes"), symlink_to("s", "d"),
                              file(std::string(150, 'l'), "long")});
  tar += std::string(9000, '\0');  // as GNU tar fills its last record
  Fd file = memory_file("");
  {
    TextSource source(tar);
    TarSplitWriter writer(file.get());
    TarReader reader(source, &writer);
    for (TarMember member; reader.next(member);) {
    }
    observe_rest(source, writer);
    writer.finish();
  }
  REQUIRE(::lseek(file.get(), 0, SEEK_SET) == 0);
  std::map<std::string, std::string> content{
      {"d/one", std::string(1000, 'x')}, {"\xff\xfe", "bytes"}, {std::string(150, 'l'), "long"}};
  TarSplitReader recipe(std::move(file));
  std::string again;
  Rebuilt rebuilt = rebuild_tar(
      recipe, [&](const std::string& name) -> std::optional<Fd> { return memory_file(content.at(name)); },
      [&](std::string_view more) { again += more; });
  CHECK(rebuilt.problem == "");
  CHECK((again == tar));
  CHECK(rebuilt.digest == sha256_hex(tar));
}

TEST_CASE("a head is read as it was written") {
  ArchiveHead head;
  Digest one(64, '1'), two = chain_id_of(one, Digest(64, '2'));
  head.images.push_back(
      {Digest(64, 'a'), {"app:1", "app@sha256:" + Digest(64, 'f')}, Digest(64, 'b'), "2026-01-01"});
  head.images.push_back({Digest(64, 'b'), {}, std::nullopt, ""});
  head.layers.push_back({one, one, std::nullopt, 5, 1024});
  head.layers.push_back({two, Digest(64, '2'), one, 6, 2048});
  head.containers.push_back({Digest(64, 'c'), "box", two, true});
  head.distribution["diffid-by-digest/sha256/" + Digest(64, 'd')] = "sha256:x";
  std::string text = head_text(head);
  CHECK(head_text(parse_head(text)) == text);
  CHECK(parse_head(text).layers[1].parent == one);
  CHECK(error_of([] { parse_head("[]"); }) == "its drover/archive.json is damaged: it is none");
}

TEST_CASE("a model knows what a layer's tar comes to") {
  std::string tar = make_tar({directory("a"), file("a/x", "1"), hard_link_to("a/y", "a/x"), whiteout("gone"),
                              hard_link_to("far", "below"), file("a", "now a file"), file("b", "2"),
                              hard_link_to("c", "b")});
  TextSource source(tar);
  TarReader reader(source);
  LayerModel model(reader);
  CHECK(model.find("a/x") == nullptr);
  CHECK(model.find("a")->is_regular);
  CHECK(model.is_gone("gone"));
  CHECK_FALSE(model.is_gone("a"));
  CHECK(model.find("far")->foreign);
  CHECK(model.group_size("b") == 2);
  CHECK(model.group_of("c") == model.group_of("b"));
  CHECK(model.group_size("a") == 1);
  CHECK(std::move(model).unseen() == std::vector<std::string>{"a", "b", "c", "far", "gone"});
  CHECK(error_of([] { parse_tar_name("a/../../b"); }) == "`a/../../b` leads out of its layer");
  CHECK(parse_tar_name("/a//./.wh.b").path == "a/b");
  CHECK(parse_tar_name("a/.wh..wh..opq").path == "a");
  for (const char* none : {".wh.", "a/.wh..", "a/.wh..."}) {
    CAPTURE(std::string(none));
    CHECK(error_of([&] { parse_tar_name(none); }) == "`" + std::string(none) + "` is a whiteout of no name");
  }
  CHECK(parse_tar_name(".wh....").path == "...");
  CHECK(parse_tar_name(".wh..wh.plnk").kind == TarName::Kind::ignored);
}

TEST_CASE("a container's configuration is written for another home") {
  std::string id(64, '1'), other(64, '2');
  std::string text = R"({"ID":")" + id + R"(","Name":"/web","Driver":"vfs","LogPath":"/old/containers/)" +
                     id + "/" + id + R"(-json.log","HostsPath":"/old/containers/)" + id +
                     R"(/hosts","HostnamePath":"/elsewhere","big":12345678901234567890})";
  CHECK(config_for_home(text, id, {id, "", "/new", DriverKind::btrfs}) ==
        R"({"ID":")" + id + R"(","Name":"/web","Driver":"btrfs","LogPath":"/new/containers/)" + id + "/" +
            id + R"(-json.log","HostsPath":"/new/containers/)" + id +
            R"(/hosts","HostnamePath":"/elsewhere","big":12345678901234567890})");
  std::string renamed = config_for_home(text, id, {other, "web-imported", "/new", DriverKind::vfs});
  CHECK(renamed.find(id) == std::string::npos);
  CHECK(renamed.find(R"("Name":"/web-imported")") != std::string::npos);
  Attachments needs = attachments_of(
      R"({"MountPoints":{"/a":{"Type":"volume","Name":"data"},"/b":{"Type":"bind","Name":"x"}},
          "NetworkSettings":{"Networks":{"bridge":{},"mine":null}}})");
  CHECK(needs.volumes == std::vector<std::string>{"data"});
  CHECK(needs.networks == std::vector<std::string>{"mine"});
  CHECK(attachments_of(R"({"MountPoints":null,"NetworkSettings":[]})").networks.empty());
}

TEST_CASE("conflicts are settled as was asked") {
  StoreFixture fixture;
  Inventory there = fixture.read(), incoming = fixture.read();
  std::function<bool(const std::string&)> none = [](const std::string&) { return false; };
  std::function<bool(const std::string&)> all = [](const std::string&) { return true; };
  // The same tags mean the same images: only the containers are in conflict.
  std::string refused = error_of([&] { settle_conflicts(incoming, there, OnConflict::refuse, all); });
  CHECK(refused.find("container worker: there is one of this name and ID") != std::string::npos);
  CHECK(refused.find("container idle") != std::string::npos);
  CHECK(refused.find("app:") == std::string::npos);
  CHECK(settle_conflicts(incoming, there, OnConflict::skip, all).skipped ==
        std::set<std::string>{fixture.worker, fixture.idle});
  Settled renamed = settle_conflicts(incoming, there, OnConflict::rename, all);
  CHECK(renamed.names.at(fixture.worker) == "worker-imported");
  CHECK(is_digest(renamed.ids.at(fixture.worker)));
  CHECK(settle_conflicts(incoming, there, OnConflict::replace, all).replaced.size() == 2);
  there.containers.clear();
  CHECK(settle_conflicts(incoming, there, OnConflict::refuse, none).skipped.empty());
  for (auto& [id, image] : there.images)
    std::swap(image.references, there.images.at(fixture.other_image).references);
  Settled replaced = settle_conflicts(incoming, there, OnConflict::replace, none);
  CHECK(replaced.tags.size() == replaced.old_tags.size());
}

TEST_CASE("an image is described for other tools") {
  auto files = layout_files(
      {{Digest(64, 'a'), 10, {"app:1", "app@sha256:" + Digest(64, 'f')}, {{Digest(64, 'b'), 20}}},
       {Digest(64, 'c'), 11, {}, {}}});
  CHECK(files[0].first == "oci-layout");
  auto index = nlohmann::json::parse(files[1].second), list = nlohmann::json::parse(files[2].second);
  CHECK(index["manifests"].size() == 2);
  CHECK(index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/app:1");
  CHECK(files[3].first == blob_name(sha256_hex(files[3].second)));
  CHECK(list[0]["RepoTags"] == nlohmann::json{"app:1"});
  CHECK(list[0]["Layers"] == nlohmann::json{"blobs/sha256/" + Digest(64, 'b')});
  CHECK(list[1]["RepoTags"].is_null());
}
