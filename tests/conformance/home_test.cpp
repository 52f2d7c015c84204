// What every driver's home must do, whatever it keeps: drivers/driver.hpp, call by call.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "tests/conformance/drivers_under_test.hpp"
#include "tests/conformance/layer_script.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// Runs a test for each driver on each filesystem, each in a new home.
void for_each_case(const std::function<void(TestHome&)>& test) {
  for (const Case& one : cases()) {
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem);
      test(home);
    }
  }
}

/// A layer with one file in it.
void make_layer(Driver& driver, const LayerId& id, const std::optional<LayerId>& parent,
                const std::string& file, const CreateOptions& options = {}) {
  driver.create(id, parent, options).root.write_new(file, "content of " + file, 0644);
  driver.seal(id);
}

std::vector<std::string> shown(const Driver& driver, const LayerId& id) {
  std::vector<std::string> names;
  for (const ViewEntry& entry : View(driver, id).root().entries()) names.push_back(entry.name);
  return names;
}

using Names = std::vector<std::string>;

std::vector<LayerId> sorted(std::vector<LayerId> ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}

mode_t mode_of(const struct stat& st) { return st.st_mode & 07777; }

/// The path of an open layer's folder, as the kernel knows it.
std::string path_of(const OpenLayer& layer) {
  char path[PATH_MAX];
  ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(layer.root.fd())).c_str(), path, sizeof path);
  return n > 0 ? std::string(path, static_cast<std::size_t>(n)) : "";
}

const Names kHostileIds = {"",
                           ".",
                           "..",
                           "l",
                           "../" + id_of("a"),
                           id_of("a") + "/..",
                           "/" + id_of("a"),
                           id_of("a") + "\n",
                           id_of("a") + std::string(1, '\0'),
                           id_of("a").substr(1),
                           id_of("a") + "0",
                           id_of("a") + "-init-init",
                           id_of("a") + "-INIT",
                           std::string(64, 'A'),
                           std::string(64, 'g'),
                           std::string(24, 'a'),
                           std::string(25, 'A'),
                           std::string(300, 'a')};

}  // namespace

TEST_CASE("where the drivers are tried") {
  for (const TestFilesystem& filesystem : test_filesystems())
    if (!filesystem.missing.empty())
      MESSAGE("SKIP: no drivers on " << filesystem.name << ": " << filesystem.missing);
  CHECK_FALSE(cases().empty());
  for (const DriverEntry& entry : driver_table()) {
    CAPTURE(std::string(entry.name));
    bool tried = std::any_of(drivers_under_test().begin(), drivers_under_test().end(),
                             [&](const DriverUnderTest& d) { return d.kind == entry.kind; });
    CHECK(tried == (entry.open != nullptr));
  }
}

TEST_CASE("a home is made as the engine wants it, and made again without harm") {
  for_each_case([](TestHome& home) {
    Dir above = Dir::open(home.above());
    auto as_wanted = [&](gid_t group) {
      struct stat st = above.stat(home.under_test().name());
      CHECK(S_ISDIR(st.st_mode));
      CHECK(mode_of(st) == home.under_test().home_mode);
      CHECK(st.st_uid == 0);
      CHECK(st.st_gid == group);
    };
    as_wanted(0);
    CHECK(home->kind() == home.under_test().kind);
    CHECK(home->form() == driver_entry(home->kind()).form);
    bool deltas = home->form() == LayerForm::delta || home->writable_form() == LayerForm::delta;
    CHECK((home->marks() != Marks::none) == deltas);
    CHECK(home->layers().empty());
    make_layer(*home, id_of("a"), std::nullopt, "file");
    REQUIRE(::chmod(home.path().c_str(), 0777) == 0);
    home->make_home();
    as_wanted(0);
    CHECK(shown(*home, id_of("a")) == Names{"file"});
    CHECK(above.list().size() == 1);
  });
}

TEST_CASE("a home of a remapped root belongs to its group, and its layers to that root") {
  for (const Case& one : cases()) {
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem, RootOwner{100'000, 200'000});
      struct stat st = Dir::open(home.above()).stat(home.under_test().name());
      CHECK(st.st_uid == (one.driver.remapped_home ? 100'000 : 0));
      CHECK(st.st_gid == 200'000);
      OpenLayer layer = home->create(id_of("a"), std::nullopt, {});
      struct stat root = layer.root.stat();
      CHECK(root.st_uid == 100'000);
      CHECK(root.st_gid == 200'000);
    }
  }
}

TEST_CASE("a base layer starts empty") {
  for_each_case([](TestHome& home) {
    LayerId id = id_of("base");
    CHECK_FALSE(home->contains(id));
    {
      OpenLayer layer = home->create(id, std::nullopt, {});
      CHECK(layer.root.list().empty());
      struct stat st = layer.root.stat();
      CHECK(mode_of(st) == 0755);
      CHECK(st.st_uid == 0);
      CHECK(st.st_gid == 0);
    }
    home->seal(id);
    CHECK(home->contains(id));
    CHECK(home->layers() == std::vector<LayerId>{id});
    CHECK(home->stack(id) == std::vector<LayerId>{id});
    CHECK(shown(*home, id).empty());
  });
}

TEST_CASE("a child starts as its parent, and neither sees what the other does") {
  for_each_case([](TestHome& home) {
    LayerId base = id_of("base"), one = id_of("one"), two = id_of("two") + "-init";
    make_layer(*home, base, std::nullopt, "of-base");
    make_layer(*home, one, base, "of-one");
    make_layer(*home, two, base, "of-two");
    CHECK(shown(*home, base) == Names{"of-base"});
    CHECK(shown(*home, one) == Names{"of-base", "of-one"});
    CHECK(shown(*home, two) == Names{"of-base", "of-two"});
    bool delta = home->form_of(one) == LayerForm::delta;
    CHECK(home->stack(one) == (delta ? std::vector<LayerId>{one, base} : std::vector<LayerId>{one}));
    CHECK(sorted(home->layers()) == sorted({base, one, two}));
    CHECK(home->open(one).root.exists("of-base") == !delta);
    // In a tree, a file of the parent's is the child's own to replace.
    if (!delta) {
      {
        OpenLayer layer = home->create(id_of("three"), base, {});
        layer.root.unlink("of-base");
        layer.root.write_new("of-base", "another", 0644);
      }
      home->seal(id_of("three"));
      CHECK(home->open(base).root.read("of-base") == "content of of-base");
      CHECK(home->open(two).root.read("of-base") == "content of of-base");
    }
  });
}

TEST_CASE("a tree that may not share inodes is written to in place without harm to its parent") {
  for_each_case([](TestHome& home) {
    if (home->writable_form() != LayerForm::tree) return;
    make_layer(*home, id_of("base"), std::nullopt, "file");
    {
      OpenLayer writable = home->create(id_of("writable"), id_of("base"), {.share_inodes = false});
      Fd file = writable.root.open_file("file", O_WRONLY);
      REQUIRE(::pwrite(file.get(), "CONTENT", 7, 0) == 7);
    }
    home->seal(id_of("writable"));
    CHECK(home->open(id_of("base")).root.read("file") == "content of file");
    CHECK(home->open(id_of("writable")).root.read("file") == "CONTENT of file");
  });
}

TEST_CASE("128 layers stand on each other") {
  for_each_case([](TestHome& home) {
    constexpr std::size_t kDepth = 128;
    auto id = [](std::size_t i) { return id_of("deep " + std::to_string(i)); };
    for (std::size_t i = 0; i < kDepth; ++i)
      make_layer(*home, id(i), i ? std::optional(id(i - 1)) : std::nullopt, "file" + std::to_string(i),
                 {.share_inodes = true});
    CHECK(home->layers().size() == kDepth);
    CHECK(home->stack(id(kDepth - 1)).size() == (home->form() == LayerForm::delta ? kDepth : 1));
    CHECK(shown(*home, id(kDepth - 1)).size() == kDepth);
    CHECK(shown(*home, id(0)) == Names{"file0"});
    if (home.under_test().inspect)
      home.under_test().inspect(home.path(), *home, id(kDepth - 1), id(kDepth - 2));
    if (home.under_test().mount)
      CHECK(home.under_test().mount(home.path(), *home, id(kDepth - 1))->root().list().size() == kDepth);
  });
}

TEST_CASE("a layer that is there already, or whose parent is not, is refused") {
  for_each_case([](TestHome& home) {
    make_layer(*home, id_of("a"), std::nullopt, "file");
    CHECK_THROWS_AS(home->create(id_of("a"), std::nullopt, {}), Error);
    CHECK(shown(*home, id_of("a")) == Names{"file"});
    CHECK_THROWS_AS(home->create(id_of("orphan"), id_of("no parent"), {}), Error);
    home->remove(id_of("orphan"));
    CHECK_FALSE(home->contains(id_of("orphan")));
    CHECK_THROWS_AS(home->open(id_of("nobody")), Error);
    CHECK(home->layers() == std::vector<LayerId>{id_of("a")});
  });
}

TEST_CASE("a name that is no layer ID reaches nothing") {
  for_each_case([](TestHome& home) {
    make_layer(*home, id_of("a"), std::nullopt, "file");
    Dir above = Dir::open(home.above());
    above.write_new("outside", "", 0644);
    for (const LayerId& id : kHostileIds) {
      CAPTURE(id);
      CHECK_FALSE(home->contains(id));
      CHECK_THROWS_AS(home->create(id, std::nullopt, {}), Error);
      CHECK_THROWS_AS(home->create(id_of("child"), id, {}), Error);
      home->remove(id_of("child"));
      CHECK_THROWS_AS(home->open(id), Error);
      // Removing may be refused, or find nothing.
      try {
        home->remove(id);
      } catch (const Error&) {
      }
      CHECK(home->layers() == std::vector<LayerId>{id_of("a")});
      CHECK(shown(*home, id_of("a")) == Names{"file"});
    }
    CHECK(above.list().size() == 2);
    home->make_home();
    CHECK(shown(*home, id_of("a")) == Names{"file"});
  });
}

TEST_CASE("what is in a home but is no layer is not listed, and a symlink is not followed") {
  for_each_case([](TestHome& home) {
    make_layer(*home, id_of("a"), std::nullopt, "file");
    std::string path = path_of(home->open(id_of("a")));
    std::size_t at = path.find(id_of("a"));
    if (at == std::string::npos || !path.starts_with(home.path() + "/")) return;  // layers lie elsewhere
    Dir layers = Dir::open(path.substr(0, at));
    for (const char* name : {"lost+found", ".hidden", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
      layers.make_dir(name, 0700);
    Dir outside = Dir::open(home.above());
    outside.make_path("outside/diff", 0755).write_new("precious", "", 0644);
    layers.make_symlink(id_of("link"), "../../outside");
    CHECK_FALSE(home->contains(id_of("link")));
    CHECK_THROWS_AS(home->open(id_of("link")), Error);
    home->remove(id_of("link"));
    CHECK_FALSE(layers.exists(id_of("link")));
    CHECK(outside.walk("outside/diff").exists("precious"));
    CHECK(home->layers() == std::vector<LayerId>{id_of("a")});
  });
}

TEST_CASE("a home without layers holds nothing but what its driver names") {
  for_each_case([](TestHome& home) {
    home->make_home();
    auto names = home->furniture(), own = home->own_files();
    names.insert(names.end(), own.begin(), own.end());
    for (const DirEntry& entry : Dir::open(home.path()).list()) {
      CAPTURE(entry.name);
      CHECK(std::find(names.begin(), names.end(), entry.name) != names.end());
    }
  });
}

TEST_CASE("a layer is removed whole, finished or not, and a second time") {
  for_each_case([](TestHome& home) {
    make_layer(*home, id_of("base"), std::nullopt, "file");
    make_layer(*home, id_of("done"), id_of("base"), "more");
    {
      OpenLayer unfinished = home->create(id_of("unfinished"), id_of("base"), {});
      Dir dir = unfinished.root.clone();
      for (int i = 0; i < 60; ++i) {
        dir.make_dir(std::string(200, 'd'), 0000);
        dir = dir.sub(std::string(200, 'd'));
      }
      dir.make_node("fifo", S_IFIFO, 0);
    }
    for (const char* name : {"unfinished", "done", "never there"}) {
      CAPTURE(std::string(name));
      home->remove(id_of(name));
      CHECK_FALSE(home->contains(id_of(name)));
      home->remove(id_of(name));
    }
    CHECK(home->layers() == std::vector<LayerId>{id_of("base")});
    CHECK(shown(*home, id_of("base")) == Names{"file"});
    make_layer(*home, id_of("done"), id_of("base"), "anew");
    CHECK(shown(*home, id_of("done")) == Names{"anew", "file"});
  });
}

TEST_CASE("a home is removed whole, and a second time, with what is beside it left alone") {
  for_each_case([](TestHome& home) {
    Dir above = Dir::open(home.above());
    above.write_new("beside", "", 0644);
    make_layer(*home, id_of("base"), std::nullopt, "file");
    make_layer(*home, id_of("child"), id_of("base"), "more", {.share_inodes = true});
    home->create(id_of("unfinished"), id_of("child"), {});
    home->remove_home();
    CHECK_FALSE(above.exists(home.under_test().name()));
    CHECK(above.exists("beside"));
    home->remove_home();
    CHECK(home->layers().empty());
    CHECK_FALSE(home->contains(id_of("base")));
    home->make_home();
    make_layer(*home, id_of("base"), std::nullopt, "again");
    CHECK(shown(*home, id_of("base")) == Names{"again"});
  });
}
