// Hard links of a layer's tar to what the layers below have: the file is copied, and its other names with it.
#include <doctest/doctest.h>

#include <filesystem>

#include "migrate/archive/changes_writer.hpp"
#include "migrate/archive/layer_unpacker.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/saved_image.hpp"

using namespace drover;
using namespace drover::test;

TEST_CASE("a link to a lower layer's file has its content where another file took the place of its copy") {
  ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
  std::string base = file_member("a", "old") + link_member("b", "a") + tar_end();
  std::string next = link_member("x", "a") + file_member("a", "new") + link_member("y", "b") + tar_end();
  write_file(host.beside("saved.tar"), saved_image({base, next}));
  check_done(host.run({"import", "-i", host.beside("saved.tar")}));
  Inventory found = host.inventory();
  REQUIRE(found.layers.size() == 2);
  for (const auto& [chain, layer] : found.layers) {
    Dir root = Dir::open(host.path("vfs/dir/" + layer.cache_id));
    CHECK(root.read("a") == (layer.parent ? "new" : "old"));
    CHECK(root.read("b") == "old");
    if (layer.parent)
      for (const char* link : {"x", "y"}) CHECK(root.read(link) == "old");
  }
}

TEST_CASE("whatever becomes of a copy of a lower layer's file, its other names keep what they are") {
  TestFolder below(filesystem("ext4"));
  Dir old = Dir::open(below.path());
  old.make_path("d", 0755).write_new("a", "old", 0644);
  std::filesystem::create_hard_link(below.path() + "/d/a", below.path() + "/b");
  View parent = plain_view(old);
  const std::string again = tar_headers(named("d", TarMember::Type::directory));
  TarMember gone = named("d/a"), kept = named("d/a");
  gone.drover[kMarkRecord] = kMarkGone;
  kept.drover[kContentRecord] = kContentKept;
  kept.mode = 0600;
  struct Copy {
    std::string fate, members;
  };
  for (const auto& copy :
       std::vector<Copy>{{"none", ""},
                         // Without another name its inode's number is the next file's.
                         {"replaced", file_member("d/a", "new")},
                         {"with its folder", file_member("d", "new") + again + file_member("d/a", "new")},
                         {"hidden", tar_headers(gone)},
                         {"hidden with its folder", file_member("d", "new")},
                         {"other attributes", tar_headers(kept)}}) {
    CAPTURE(copy.fate);
    TestFolder above(filesystem("ext4"));
    Dir made = Dir::open(above.path());
    std::string tar = link_member("d/a", "d/a") + copy.members + link_member("y", "b") + tar_end();
    TextSource source(tar);
    TarReader reader(source);
    LayerUnpacker unpacker(made, &parent);
    unpacker.apply_changes(reader);
    unpacker.finish();
    for (const char* name : {"b", "y"}) {
      CHECK(made.read(name) == "old");
      CHECK((made.stat(name).st_mode & 07777) == 0644);
    }
    CHECK(made.stat("y").st_ino == made.stat("b").st_ino);
    CHECK(made.stat("y").st_nlink == (copy.fate == "none" ? 3 : 2));
  }
}

TEST_CASE("links into deep folders of a lower layer take memory that does not grow with their depth") {
  constexpr std::size_t kLinks = 600;
  /// What it takes, the tars themselves apart: of files with one name there, or with two.
  auto taken = [&](std::size_t levels, bool pairs) {
    std::string way = "d", base, next;
    for (std::size_t i = 1; i < levels; ++i) way += "/d";
    for (std::size_t i = 0; i < kLinks; ++i) {
      // By turns, so that no link is where the last one was.
      std::string name = std::to_string(i), path = way + (i % 2 == 0 ? "/even/" : "/odd/") + name;
      base += file_member(path, "content");
      if (pairs) base += link_member("twin-" + name, path);
      next += link_member("link-" + name, path);
    }
    if (pairs) next += link_member("last", "twin-0");
    TestFolder below(filesystem("ext4")), above(filesystem("ext4"));
    Dir old = Dir::open(below.path()), made = Dir::open(above.path());
    auto unpack = [](const Dir& root, const std::string& tar, const View* parent) {
      return run_confined([&] {
        TextSource source(tar);
        TarReader reader(source);
        LayerUnpacker unpacker(root, parent);
        unpacker.apply_layer(reader);
        unpacker.finish();
        return std::string("done");
      });
    };
    REQUIRE(unpack(old, base + tar_end(), nullptr).text == "done");
    View parent = plain_view(old);
    long before = run_confined([] { return std::string(); }).peak_bytes;
    Confined run = unpack(made, next + tar_end(), &parent);
    CHECK(run.text == "done");
    CHECK(made.walk(way + "/even").stat("0").st_nlink == (pairs ? 4 : 2));
    return run.peak_bytes - before;
  };
  for (bool pairs : {false, true}) {
    CAPTURE(pairs);
    long flat = taken(4, pairs), deep = taken(400, pairs);
    CHECK_MESSAGE(deep < flat + (4 << 20),
                  (std::to_string(flat) + " and " + std::to_string(deep) + " bytes"));
  }
}

TEST_CASE("a link to a lower layer's file is looked up where the layer's own entries let it lead") {
  TestFolder below(filesystem("ext4"));
  Dir old = Dir::open(below.path());
  old.make_path("d/deep", 0755).write_new("f", "hidden", 0644);
  old.sub("d").write_new("f", "hidden", 0644);
  old.make_path("other", 0755).write_new("f", "other", 0644);
  View parent = plain_view(old);
  const std::string other = directory_member("other"), opaque = file_member("d/.wh..wh..opq", "");
  struct Case {
    std::string what, members, target, content;  ///< no content: it is refused
  };
  for (const Case& one : std::vector<Case>{
           {"as it is", "", "d/f", "hidden"},
           {"as it is, further down", directory_member("d"), "d/deep/f", "hidden"},
           {"a symlink to a directory of both", other + symlink_member("d", "other"), "d/f", "other"},
           {"a symlink to one of below", symlink_member("d", "/other"), "d/f", "other"},
           {"a symlink to a file of the layer", file_member("new/f", "new") + symlink_member("d", "new"),
            "d/f", "new"},
           {"a symlink to what lacks the file", directory_member("new") + symlink_member("d", "new"), "d/f",
            ""},
           {"a symlink to nothing", symlink_member("d", "nowhere"), "d/f", ""},
           {"a symlink to itself", symlink_member("d", "d"), "d/f", ""},
           {"a symlink and back", other + symlink_member("d", "other/../nowhere/.."), "d/f", ""},
           {"a file in place of the directory", file_member("d", "file"), "d/f", ""},
           {"a whiteout of the file", file_member("d/.wh.f", ""), "d/f", ""},
           {"a whiteout of the directory", file_member(".wh.d", ""), "d/f", ""},
           {"a whiteout further up", file_member(".wh.d", ""), "d/deep/f", ""},
           {"a directory that was hidden", file_member(".wh.d", "") + directory_member("d"), "d/f", ""},
           {"an opaque directory", opaque, "d/f", ""},
           {"an opaque directory further up", opaque, "d/deep/f", ""},
           {"one further up that has the folder", opaque + directory_member("d/deep"), "d/deep/f", ""},
           {"an opaque root", file_member(".wh..wh..opq", ""), "d/f", ""}}) {
    CAPTURE(one.what);
    TestFolder above(filesystem("ext4"));
    Dir made = Dir::open(above.path());
    std::string tar = one.members + link_member("x", one.target) + tar_end(), said = "done";
    TextSource source(tar);
    TarReader reader(source);
    LayerUnpacker unpacker(made, &parent);
    try {
      unpacker.apply_layer(reader);
      unpacker.finish();
    } catch (const Error& e) {
      said = e.what();
    }
    if (one.content.empty()) {
      CHECK_MESSAGE((has(said, "which is not there") || has(said, "leads to no directory")), said);
      CHECK_FALSE(made.exists("x"));
      CHECK((!made.exists("other") || made.sub("other").list().empty()));
      continue;
    }
    CHECK(said == "done");
    CHECK(made.read("x") == one.content);
    std::string real = one.content == "hidden" ? one.target : one.content + "/f";
    CHECK(made.walk(real.substr(0, real.rfind('/'))).stat("f").st_ino == made.stat("x").st_ino);
  }
}
