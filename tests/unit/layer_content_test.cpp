#include "migrate/layer_content.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "drivers/sys/copy_content.hpp"
#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

const LayerId kBase(64, 'a'), kTop(64, 'b');

/// "path size": in the order in which they are told.
template <class T>
std::string listed(const Largest<T>& list) {
  std::string text;
  for (const T& item : list.items())
    text += (text.empty() ? "" : ", ") + item.path + " " + std::to_string(item.bytes);
  return text;
}

std::string with_how(const Largest<HiddenEntry>& list) {
  constexpr const char* kHow[] = {"whiteout", "opaque", "replaced"};
  std::string text;
  for (const HiddenEntry& e : list.items())
    text += (text.empty() ? "" : ", ") + e.path + " " + std::to_string(e.bytes) + " in " +
            std::to_string(e.files) + " " + kHow[static_cast<int>(e.how)];
  return text;
}

/// aufs keeps deltas and vfs keeps trees, and both can be made and read by anybody.
struct TwoLayers {
  HostTree tree;
  DriverKind kind;
  std::unique_ptr<Driver> home;

  explicit TwoLayers(DriverKind k)
      : kind(k), home(driver_entry(k).open(tree.path("/" + std::string(driver_name(k))), {})) {
    if (kind == DriverKind::aufs) {
      tree.write("/aufs/layers/" + kBase, "");
      tree.write("/aufs/layers/" + kTop, kBase + "\n");
    }
    for (const LayerId& id : {kBase, kTop}) Dir::open(tree.root()).make_path(folder(id).substr(1), 0755);
  }
  std::string folder(const LayerId& id) const {
    return (kind == DriverKind::aufs ? "/aufs/diff/" : "/vfs/dir/") + id;
  }
  void write(const LayerId& id, const std::string& path, const std::string& content) const {
    tree.write(folder(id) + "/" + path, content);
  }
  /// In the base, and where layers are trees in the top, too.
  void write_below(const std::string& path, const std::string& content) const {
    write(kBase, path, content);
    if (kind != DriverKind::vfs) return;
    write(kTop, path, content);
    std::filesystem::last_write_time(tree.path(folder(kTop) + "/" + path),
                                     std::filesystem::last_write_time(tree.path(folder(kBase) + "/" + path)));
  }
  void remove_in_top(const std::string& path) const {
    std::size_t cut = path.rfind('/') + 1;
    if (kind == DriverKind::aufs)
      write(kTop, path.substr(0, cut) + ".wh." + path.substr(cut), "");
    else
      Dir::open(tree.path(folder(kTop) + "/" + path.substr(0, cut))).remove_tree(path.substr(cut));
  }
  LayerContent read(std::size_t listed = 100, bool against_below = true) const {
    return read_layer_content(Dir::open(tree.root()), *home,
                              {kTop, kBase, std::nullopt, against_below, true, listed});
  }
};

std::string large(std::uint64_t bytes) { return std::string(bytes, 'x'); }

}  // namespace

TEST_CASE("a layer as a delta and as a tree is told alike") {
  for (DriverKind kind : {DriverKind::aufs, DriverKind::vfs}) {
    SUBCASE(driver_name(kind).data()) {
      TwoLayers layers(kind);
      layers.write_below("same", "12345");
      layers.write_below("changed", "123");
      layers.write_below("gone/a", "12");
      layers.write_below("gone/b", "1234");
      layers.write_below("dir/gone", "1");
      layers.write_below("dir/stays", "1");
      layers.write(kTop, "changed", "abcdefg");
      layers.write(kTop, "new/file", "123456789");
      layers.remove_in_top("gone");
      layers.remove_in_top("dir/gone");
      LayerContent content = layers.read();
      CHECK(content.files == 2);
      CHECK(content.bytes == 16);
      CHECK(listed(content.added) == "new/file 9");
      CHECK(listed(content.copied_up) == "changed 7");
      REQUIRE(content.copied_up.count() == 1);
      CHECK(content.copied_up.items()[0].bytes_below == 3);
      CHECK(with_how(content.hidden) == "gone 6 in 2 whiteout, dir/gone 1 in 1 whiteout");
      CHECK(content.hidden_bytes() == 10);
      CHECK(content.small_writes.count() == 0);

      LayerContent numbers = layers.read(0, false);
      CHECK(numbers.files == 2);
      CHECK(numbers.bytes == 16);
      CHECK(numbers.added.count() == 0);
      CHECK(numbers.hidden.count() == 0);
    }
  }
}

TEST_CASE("an opaque directory hides what the layers below have in it") {
  TwoLayers layers(DriverKind::aufs);
  layers.write_below("cache/a", "123");
  layers.write_below("cache/sub/b", "1234");
  layers.write_below("empty-there/.keep", "");
  layers.write(kTop, "cache/.wh..wh..opq", "");
  layers.write(kTop, "cache/a", "12");
  layers.write(kTop, "fresh/.wh..wh..opq", "");
  layers.write(kTop, "fresh/file", "1");
  LayerContent content = layers.read();
  CHECK(with_how(content.hidden) == "cache 7 in 2 opaque");  // a mark that hides nothing is none
  CHECK(listed(content.added) == "cache/a 2, fresh/file 1");
  CHECK(content.copied_up.count() == 0);
}

TEST_CASE("what has become of another type is hidden") {
  for (DriverKind kind : {DriverKind::aufs, DriverKind::vfs}) {
    SUBCASE(driver_name(kind).data()) {
      TwoLayers layers(kind);
      layers.write_below("was-dir/a", "123");
      layers.write_below("was-file", "12345");
      if (kind == DriverKind::vfs) {
        layers.remove_in_top("was-dir");
        layers.remove_in_top("was-file");
      }
      layers.write(kTop, "was-dir", "1");
      layers.write(kTop, "was-file/inside", "12");
      LayerContent content = layers.read();
      CHECK(with_how(content.hidden) == "was-file 5 in 1 replaced, was-dir 3 in 1 replaced");
      CHECK(listed(content.added) == "was-file/inside 2, was-dir 1");
    }
  }
}

TEST_CASE("large files that were copied up for little are named") {
  for (DriverKind kind : {DriverKind::aufs, DriverKind::vfs}) {
    SUBCASE(driver_name(kind).data()) {
      TwoLayers layers(kind);
      const std::uint64_t size = 4 * kLargeFile;
      std::string one_block = large(size), many = large(size), longer = large(size) + "y",
                  small = large(9000);
      one_block[size / 2] = 'y';
      for (std::size_t at = 0; at < size; at += 2 * kContentBlock) many[at] = 'y';
      small[0] = 'y';
      for (const char* name : {"one-block", "many", "longer", "cut", "untouched"})
        layers.write_below(name, large(size));
      layers.write_below("small", large(9000));
      layers.write(kTop, "one-block", one_block);
      layers.write(kTop, "many", many);
      layers.write(kTop, "longer", longer);
      layers.write(kTop, "cut", large(kLargeFile));
      layers.write(kTop, "small", small);
      if (kind == DriverKind::aufs) layers.write(kTop, "untouched", large(size));  // by chmod, say
      LayerContent content = layers.read();
      std::string text;
      for (const SmallWrite& write : content.small_writes.items())
        text += write.path + " " + std::to_string(write.changed_bytes) + "\n";
      CHECK(text ==
            std::string("longer 4096\none-block 4096\n") + (kind == DriverKind::aufs ? "untouched 0\n" : ""));
    }
  }
}

TEST_CASE("names of one file are counted, its bytes once") {
  for (DriverKind kind : {DriverKind::aufs, DriverKind::vfs}) {
    SUBCASE(driver_name(kind).data()) {
      TwoLayers layers(kind);
      layers.write_below("below", "1");
      layers.write(kTop, "a", "12345");
      std::filesystem::create_hard_link(layers.tree.path(layers.folder(kTop) + "/a"),
                                        layers.tree.path(layers.folder(kTop) + "/b"));
      LayerContent content = layers.read();
      CHECK(content.files == 2);
      CHECK(content.bytes == 5);
    }
  }
}

TEST_CASE("of many files the largest are kept, and all are counted") {
  Largest<LayerFile> files(3);
  for (std::uint64_t i = 0; i < 1000; ++i) files.add({"f" + std::to_string(i), i * 7 % 1000});
  CHECK(files.count() == 1000);
  CHECK(files.bytes() == 499500);
  auto items = files.items();
  REQUIRE(items.size() == 3);
  CHECK(items[0].bytes == 999);
  CHECK(items[2].bytes == 997);
  Largest<LayerFile> equal(2);
  for (const char* name : {"c", "a", "b"}) equal.add({name, 1});
  CHECK(listed(equal) == "a 1, b 1");
  Largest<LayerFile> none(0);
  none.add({"x", 5});
  CHECK(none.count() == 1);
  CHECK(none.items().empty());
}

TEST_CASE("where two files are compared, the one that cannot be read is named") {
  HostTree tree;
  tree.write("/a", "same");
  tree.write("/b", "same");
  Dir dir = Dir::open(tree.root());
  CHECK(same_content(open_content(dir, "a"), open_content(dir, "b")));
  auto not_readable = [&](const char* name) { return OpenContent{dir, name, dir.open_file(name, O_WRONLY)}; };
  CHECK_THROWS_WITH_AS(same_content(not_readable("a"), open_content(dir, "b")), doctest::Contains("/a`"),
                       SystemError);
  CHECK_THROWS_WITH_AS(same_content(open_content(dir, "a"), not_readable("b")), doctest::Contains("/b`"),
                       SystemError);
}

TEST_CASE("differing blocks are counted up to a limit") {
  HostTree tree;
  std::string a = large(10 * kContentBlock + 5), b = a;
  b[0] = b[3 * kContentBlock] = b[3 * kContentBlock + 1] = b[10 * kContentBlock + 4] = 'y';
  tree.write("/a", a);
  tree.write("/b", b);
  tree.write("/short", a.substr(0, 2 * kContentBlock + 1));
  Dir dir = Dir::open(tree.root());
  auto differing = [&](const char* one, const char* other, std::uint64_t most) {
    return differing_blocks(open_content(dir, one), open_content(dir, other), most);
  };
  CHECK(differing("a", "a", 100) == 0);
  CHECK(differing("a", "b", 100) == 3);
  CHECK(differing("a", "short", 100) == 9);
  CHECK(differing("short", "a", 100) == 0);
  CHECK(differing("a", "short", 2) > 2);
}
