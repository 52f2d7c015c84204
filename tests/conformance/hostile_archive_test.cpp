// Tars of layers that nest deeper than paths may be long, or lead over symlinks at every position.
#include <doctest/doctest.h>

#include <ctime>

#include "drivers/sys/error.hpp"
#include "migrate/archive/byte_stream.hpp"
#include "migrate/archive/layer_unpacker.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/saved_image.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// Unpacks a tar into a folder with little of everything: "done", or what was said.
std::string unpack(const Dir& root, const std::string& tar, bool as_changes) {
  return run_confined([&] {
           TextSource source(tar);
           TarReader reader(source);
           LayerUnpacker unpacker(root, nullptr);
           if (as_changes)
             unpacker.apply_changes(reader);
           else
             unpacker.apply_layer(reader);
           unpacker.finish();
           return std::string("done");
         })
      .text;
}

std::string levels(std::size_t count) {
  std::string path = "d";
  for (std::size_t i = 1; i < count; ++i) path += "/d";
  return path;
}

}  // namespace

TEST_CASE("a tar that nests deeper than a path may be long is unpacked, over symlinks too") {
  constexpr std::size_t kLevels = 4'000, kHalf = 2'000;
  for (bool as_changes : {false, true}) {
    CAPTURE(as_changes);
    TestFolder folder(filesystem("ext4"));
    Dir root = Dir::open(folder.path());
    std::string tar;
    for (std::size_t i = 1; i <= kLevels; i += i < 100 ? 1 : 100) tar += directory_member(levels(i));
    tar += with_content(named(levels(kLevels) + "/file"), "deep");
    // The rest of the way behind a symlink that leads half-way, further than /proc can say.
    tar += symlink_member("half", levels(kHalf)) + symlink_member("to-half", "half/./d/../d");
    tar += with_content(named("half/" + levels(kLevels - kHalf) + "/over"), "symlink");
    tar += with_content(named("to-half/" + levels(kLevels - kHalf - 1) + "/over-two"), "symlinks");
    CHECK(unpack(root, tar + tar_end(), as_changes) == "done");
    Dir deep = root.walk(levels(kLevels));
    CHECK(deep.read("file") == "deep");
    CHECK(deep.read("over") == "symlink");
    CHECK(deep.read("over-two") == "symlinks");
    CHECK((deep.stat().st_mode & 07777) == 0644);  // as the member has it
  }
}

TEST_CASE("directories that are too many bytes to remember are refused") {
  TestFolder folder(filesystem("ext4"));
  Dir root = Dir::open(folder.path());
  std::string longest = levels(40'000);
  CHECK(has(unpack(root, directory_member(longest) + tar_end(), true), "has 79999 bytes"));
  CHECK(root.list().empty());
}

TEST_CASE("directories whose attributes are too many bytes to remember are refused") {
  /// Directories with large attributes, as many as are asked for.
  struct Endless : ByteSource {
    std::string member;
    std::size_t at = 0, made = 0;
    std::size_t read(char* to, std::size_t size) override {
      if (at == member.size()) {
        TarMember next = named("d" + std::to_string(++made), TarMember::Type::directory);
        next.xattrs = {{"user.large", std::string(60'000, 'v')}};
        member = tar_headers(next);
        at = 0;
      }
      std::size_t n = member.copy(to, size, at);
      at += n;
      return n;
    }
  };
  TestFolder folder(filesystem("ext4"));
  Dir root = Dir::open(folder.path());
  std::string said = run_confined([&] {
                       Endless source;
                       TarReader reader(source);
                       LayerUnpacker unpacker(root, nullptr);
                       unpacker.apply_layer(reader);
                       return std::string("done");
                     }).text;
  CHECK_MESSAGE(has(said, "or so large attributes"), said);
}

TEST_CASE("a user attribute of what cannot have one is left out") {
  TestFolder folder(filesystem("ext4"));
  Dir root = Dir::open(folder.path());
  TarMember link = named("link", TarMember::Type::symlink), file = named("file");
  link.target = "file";
  link.xattrs = file.xattrs = {{"user.kept", "value"}};
  CHECK(unpack(root, with_content(file, "content") + tar_headers(link) + tar_end(), false) == "done");
  CHECK(root.xattr("file", "user.kept") == "value");
  CHECK(root.read_link("link") == "file");
}

TEST_CASE("a symlink at any position of a tar's path leads nowhere outside") {
  TestFolder folder(filesystem("ext4")), other(filesystem("ext4"));
  Dir top = Dir::open(folder.path());
  Dir::open(other.path()).make_path("p/q/r", 0755).write_new("file", "outside", 0644);
  Snapshot before = snapshot(other.path());
  int number = 0;
  for (const std::string& target :
       {other.path(), other.path() + "/p", "../../../../../../../../.." + other.path(), std::string("/"),
        std::string(".."), std::string("."), std::string("p"), std::string("p/q/r"),
        std::string("nowhere")}) {
    for (const char* link : {"p", "p/q", "p/q/r", "p/q/r/file"}) {
      for (bool as_changes : {false, true}) {
        CAPTURE(target);
        CAPTURE(std::string(link));
        CAPTURE(as_changes);
        std::string name = "root-" + std::to_string(++number);
        top.make_dir(name, 0755);
        Dir root = top.sub(name);
        std::string tar;
        for (const char* above : {"p", "p/q", "p/q/r"})
          if (std::string(link).starts_with(std::string(above) + "/")) tar += directory_member(above);
        tar += symlink_member(link, target);
        tar += with_content(named("p/q/r/file"), "inside");
        tar += with_content(named("p/q/r/new/file"), "inside");
        TarMember hard = named("hard", TarMember::Type::hard_link);
        hard.target = "p/q/r/file";
        std::string said = unpack(root, tar + tar_headers(hard) + tar_end(), as_changes);
        CHECK_MESSAGE(!has(said, "killed by"), said);
        if (has(said, "threw: "))
          CHECK_MESSAGE((has(said, "leads to no directory") || has(said, "which is not there") ||
                         has(said, "is not a directory")),
                        said);
      }
    }
  }
  CHECK(changes(before, snapshot(other.path())) == "");
  CHECK(top.list().size() == static_cast<std::size_t>(number));
}

TEST_CASE("a deep path over one that is as deep takes time that grows with its length, not with the square") {
  auto seconds = [](std::size_t count) {
    TestFolder below(filesystem("ext4")), above(filesystem("ext4"));
    std::string tar = with_content(named(levels(count) + "/file"), "deep") + tar_end();
    Dir old = Dir::open(below.path()), made = Dir::open(above.path());
    REQUIRE(unpack(old, tar, false) == "done");
    View parent = plain_view(old);
    TextSource source(tar);
    TarReader reader(source);
    LayerUnpacker unpacker(made, &parent);
    std::clock_t start = std::clock();
    unpacker.apply_layer(reader);
    double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    unpacker.finish();
    CHECK(made.walk(levels(count)).read("file") == "deep");
    return took;
  };
  double little = seconds(300), much = seconds(3000);  // the square would be a hundred times as much
  CHECK_MESSAGE(much < 30 * (little + 0.01),
                (std::to_string(little) + " s and " + std::to_string(much) + " s"));
}
