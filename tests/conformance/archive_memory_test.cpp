// The memory and time that a layer of very many or very long names, or attributes, can ask for.
#include <doctest/doctest.h>

#include <ctime>
#include <filesystem>

#include "drivers/sys/error.hpp"
#include "migrate/archive/layer_amendments.hpp"
#include "migrate/archive/layer_unpacker.hpp"
#include "migrate/changes.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/saved_image.hpp"

namespace fs = std::filesystem;
using namespace drover;
using namespace drover::test;

namespace {

/// A tar of as many members as are asked for, which takes no memory.
class MadeTar : public ByteSource {
 public:
  /// Of each number, counted from 0, its member; the end after `count`.
  MadeTar(std::size_t count, std::function<std::string(std::size_t)> member)
      : count_(count), member_(std::move(member)) {}
  std::size_t read(char* to, std::size_t size) override {
    if (at_ == text_.size()) {
      if (made_ > count_) return 0;
      text_ = made_ == count_ ? tar_end() : member_(made_);
      ++made_;
      at_ = 0;
    }
    std::size_t n = text_.copy(to, size, at_);
    at_ += n;
    return n;
  }

 private:
  std::size_t count_, made_ = 0, at_ = 0;
  std::function<std::string(std::size_t)> member_;
  std::string text_;
};

std::string digits(std::size_t number) {
  std::string text = std::to_string(number);
  return std::string(7 - text.size(), '0') + text;
}

long empty_process_bytes() {
  return run_confined([] { return std::string(); }).peak_bytes;
}

}  // namespace

TEST_CASE("a layer's names that are more than are kept are refused when export reads them") {
  // A tar-split of a few megabytes holds these: compressed, names like these are nearly nothing.
  const std::string long_name = "/" + std::string(60'000, 'n');
  struct Kind {
    const char* what;
    std::function<std::string(std::size_t)> member;
  };
  for (const Kind& kind : std::vector<Kind>{
           {"files", [&](std::size_t i) { return file_member(digits(i) + long_name, ""); }},
           {"whiteouts", [&](std::size_t i) { return file_member(digits(i) + long_name + "/.wh.w", ""); }},
           {"opaque",
            [&](std::size_t i) { return file_member(digits(i) + long_name + "/.wh..wh..opq", ""); }},
           {"links", [&](std::size_t i) { return link_member(digits(i) + long_name, digits(i + 1)); }},
       }) {
    CAPTURE(std::string(kind.what));
    Confined done = run_confined([&] {
      MadeTar source(100'000, kind.member);
      TarReader tar(source);
      LayerModel model(tar);
      return std::string("done");
    });
    CHECK_MESSAGE(has(done.text, "more names, or longer ones, than drover keeps"), done.text);
  }
}

TEST_CASE("a layer of a million files is no such one, and its names are kept once") {
  const std::size_t count = at_full_size("100,000 files in place of a million") ? 1'000'000 : 100'000;
  Confined done = run_confined([&] {
    MadeTar source(count, [](std::size_t i) {
      return file_member("usr/lib/node_modules/" + digits(i / 100) + std::string(50, 'd') + "/" + digits(i),
                         "");
    });
    TarReader tar(source);
    LayerModel model(tar);
    model.note_seen("usr/lib/node_modules/" + digits(0) + std::string(50, 'd') + "/" + digits(0));
    return std::to_string(std::move(model).unseen().size());
  });
  CHECK(done.text == std::to_string(count - 1));
  CHECK(done.peak_bytes < empty_process_bytes() + static_cast<long>(count) * 350);
}

TEST_CASE("a name that is taken again and again costs what is below it, not what begins like it") {
  constexpr std::size_t kNames = 20'000;
  auto seconds = [](const std::string& siblings, const std::string& again) {
    std::clock_t start = std::clock();
    MadeTar source(2 * kNames,
                   [&](std::size_t i) { return file_member(i < kNames ? siblings + digits(i) : again, ""); });
    TarReader tar(source);
    LayerModel model(tar);
    CHECK(std::move(model).unseen().size() == kNames + 1);
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  double apart = seconds("a-", "b"), alike = seconds("a-", "a");
  CHECK_MESSAGE(alike < 10 * (apart + 0.05),
                (std::to_string(apart) + " s and " + std::to_string(alike) + " s"));
  // Whiteouts below it go with it: they are not walked over each time.
  double below = seconds("a/.wh.", "b"), replaced = 0;
  std::clock_t start = std::clock();
  MadeTar source(2 * kNames,
                 [&](std::size_t i) { return file_member(i < kNames ? "a/.wh." + digits(i) : "a", ""); });
  TarReader tar(source);
  LayerModel model(tar);
  CHECK(std::move(model).unseen() == std::vector<std::string>{"a"});
  replaced = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  CHECK_MESSAGE(replaced < 10 * (below + 0.05),
                (std::to_string(below) + " s and " + std::to_string(replaced) + " s"));
}

TEST_CASE("directories that a layer's tar has not take no more memory where they are deep") {
  constexpr std::size_t kFolders = 3'000;
  /// What it takes to tell them.
  auto taken = [&](std::size_t levels) {
    TestFolder folder(filesystem("ext4"));
    Dir root = Dir::open(folder.path());
    std::string way = std::string(250, 'd');
    for (std::size_t i = 1; i < levels; ++i) way += "/" + std::string(250, 'd');
    {
      Dir deep = root.make_path(way, 0755);
      for (std::size_t i = 0; i < kFolders; ++i) deep.make_dir(digits(i), 0755);
    }
    std::size_t told = 0;
    Confined done = run_confined([&] {
      MadeTar source(0, nullptr);
      TarReader tar(source);
      LayerModel model(tar);
      LayerAmendments amendments(model, root, Marks::overlay, [&](std::string_view) { ++told; });
      read_delta(root, Marks::overlay, amendments);
      amendments.finish();
      return std::to_string(told);
    });
    CHECK(done.text == std::to_string(kFolders + levels + 2));  // and the root, and the end
    return done.peak_bytes;
  };
  long flat = taken(1), deep = taken(200);
  CHECK_MESSAGE(deep < flat + (16 << 20), (std::to_string(flat) + " and " + std::to_string(deep) + " bytes"));
}

TEST_CASE("very many small attributes of directories are too many bytes to remember, too") {
  TarMember member = named("x", TarMember::Type::directory);
  for (std::size_t i = 0; i < 30'000; ++i) member.xattrs.emplace_back("user." + digits(i), "");
  std::string attributes = tar_headers(member);
  attributes.resize(attributes.size() - kTarBlock);  // what comes before the header itself
  TestFolder folder(filesystem("ext4"));
  Dir root = Dir::open(folder.path());
  Confined done = run_confined([&] {
    MadeTar source(2'000, [&](std::size_t i) { return attributes + directory_member(digits(i)); });
    TarReader reader(source);
    LayerUnpacker unpacker(root, nullptr);
    unpacker.apply_layer(reader);
    return std::string("done");
  });
  CHECK_MESSAGE(has(done.text, "or so large attributes"), done.text);
  CHECK(done.peak_bytes < (400L << 20));
}

TEST_CASE("a layer's tar-split passes through export, however large it is") {
  constexpr std::size_t kMore = 300 << 20;
  ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
  host.make_sample();
  fs::path record =
      fs::directory_iterator(host.path("image/overlay2/layerdb/sha256"))->path() / "tar-split.json.gz";
  {
    // gzip's comment, behind its header's ten bytes, has no limit: RFC 1952.
    std::string gz = bytes_of(record.string());
    REQUIRE(gz[3] == 0);
    gz[3] = 0x10;
    gz.insert(10, std::string(kMore, 'x') + '\0');
    write_file(record.string(), gz);
  }
  Confined done = drover_confined({"export", "-o", host.beside("archive"), "--compress", "none",
                                   "--data-root", host.root(), "--config", host.beside("daemon.json")});
  CHECK_MESSAGE(done.text.starts_with("0\n"), done.text);
  CHECK(done.peak_bytes < (250L << 20));
  CHECK(fs::file_size(host.beside("archive")) > kMore);
  ArchiveHost other(filesystem("ext4"), DriverKind::overlay2);
  check_done(other.run({"import", "-i", host.beside("archive")}));
  CHECK(fs::file_size(other.path(fs::relative(record, host.root()).string())) == fs::file_size(record));
}
