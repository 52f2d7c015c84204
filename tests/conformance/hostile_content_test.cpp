// Layers whose content reaches for what is outside, spoofs a driver's own marks, or must not be opened: each
// is carried as it is or refused by name, and nothing but the target's home is written to.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "migrate/stage_layer.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/layer_script.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/conformance/stacks.hpp"

using namespace drover;
using namespace drover::test;
using namespace std::string_literals;

namespace {

const std::vector<std::string> kOpenedNever = {"fifo", "null", "block", "console"};

/// As long as this filesystem takes it.
void make_long_symlink(const Dir& dir, const std::string& name) {
  for (std::size_t size : {4095, 3900, 1000}) {
    std::string target;
    while (target.size() < size) target += "../";
    target.resize(size);
    if (::symlinkat(target.c_str(), dir.fd(), name.c_str()) == 0) return;
    REQUIRE(errno == ENAMETOOLONG);
  }
  REQUIRE(false);
}

/// Content that no driver takes for a mark.
void fill_hostile(const Dir& root, const std::string& outside) {
  Dir deep = root.make_path("a/b/c", 0755);
  // At every position a symlink beside the directory that a careless path would go through.
  for (const Dir& at : {root.clone(), root.walk("a"), root.walk("a/b"), deep.clone()}) {
    at.make_symlink("full", outside);
    at.make_symlink("up", "../../../../../../../../../../../../../.." + outside);
    at.make_symlink("round", "round");
    at.make_symlink("one", "other");
    at.make_symlink("other", "one");
  }
  make_long_symlink(root, "long");
  deep.make_node("fifo", S_IFIFO | 0644, 0);
  deep.make_node("null", S_IFCHR | 0666, makedev(1, 3));
  deep.make_node("console", S_IFCHR | 0600, makedev(5, 1));
  deep.make_node("block", S_IFBLK | 0600, makedev(7, 200));
  deep.make_node("socket", S_IFSOCK | 0777, 0);
  for (const char* name : {"-rf", "*", "new\nline", "\x1b[31mred", "\xff\xfe", "\\", " "})
    deep.write_new(name, name, 0600);
  root.write_new("kept", "kept", 0644);
  root.set_xattr("kept", "user.overlayfs", "no mark");
}

/// One thing that a driver may take for a mark, and who has to refuse it.
struct Spoof {
  const char* name;
  void (*make)(const Dir&);
  std::vector<DriverKind> refused_by;
  const char* because;
};

using K = DriverKind;

const std::vector<Spoof>& spoofs() {
  static const std::vector<Spoof> all = {
      {"a name that is aufs's whiteout",
       [](const Dir& d) { d.write_new(".wh.kept", "", 0644); },
       {K::aufs, K::fuse_overlayfs},
       "it would be a whiteout"},
      {"a name that is aufs's opaque mark",
       [](const Dir& d) { d.write_new(".wh..wh..opq", "", 0644); },
       {K::aufs, K::fuse_overlayfs},
       "it would be a whiteout"},
      {"a name of aufs's book-keeping",
       [](const Dir& d) { d.make_dir(".wh..wh.plnk", 0755); },
       {K::aufs, K::fuse_overlayfs},
       "it would be a whiteout"},
      {"a device 0:0",
       [](const Dir& d) { d.make_node("null", S_IFCHR | 0600, makedev(0, 0)); },
       {K::overlay2, K::fuse_overlayfs, K::overlay},
       "a character device 0:0"},
      {"overlay's opaque mark", [](const Dir& d) { d.set_xattr("", "trusted.overlay.opaque", "y"); }, {}, ""},
      {"overlay's new opaque mark and whiteout",
       [](const Dir& d) {
         d.set_xattr("", "trusted.overlay.opaque", "x");
         d.write_new("white", "", 0644);
         d.set_xattr("white", "trusted.overlay.whiteout", "");
       },
       {},
       ""},
      {"overlay's origin and link count",
       [](const Dir& d) {
         d.set_xattr("kept", "trusted.overlay.origin", "forged");
         d.set_xattr("kept", "trusted.overlay.nlink", "U+1");
       },
       {},
       ""},
      {"overlay's redirect",
       [](const Dir& d) { d.set_xattr("", "trusted.overlay.redirect", "/etc"); },
       {},
       ""},
      {"overlay's metacopy",
       [](const Dir& d) { d.set_xattr("kept", "trusted.overlay.metacopy", ""); },
       {},
       ""},
      {"marks of user namespaces",
       [](const Dir& d) {
         d.set_xattr("", "user.overlay.opaque", "y");
         d.set_xattr("kept", "user.overlay.whiteout", "y");
         d.set_xattr("kept", "user.overlay.redirect", "/etc");
       },
       {},
       ""},
      {"fuse-overlayfs's opaque mark",
       [](const Dir& d) { d.set_xattr("", "user.fuseoverlayfs.opaque", "y"); },
       {},
       ""},
  };
  return all;
}

PlannedLayer hostile_layer(const char* name, const std::optional<LayerId>& parent, LayerRole role) {
  PlannedLayer layer;
  layer.id = id_of(name);
  layer.parent = parent;
  layer.role = role;
  layer.head = true;
  return layer;
}

/// Carries two layers, the second on the first. Empty, or what the Error said.
std::string carry_hostile(const TestHome& source, const TestHome& target,
                          const std::vector<PlannedLayer>& layers) {
  Plan plan;
  plan.from = source->kind();
  plan.to = target->kind();
  plan.layers = layers;
  Inventory inventory{};
  Dir records = Dir::open(source.above());
  try {
    LayerStager stager(records, inventory, plan, *source, *target);
    for (const PlannedLayer& layer : layers) stager.stage(layer);
    stager.prove(layers.back(), false);
    stager.prove_whole(layers.back());
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

bool is_among(const std::vector<DriverKind>& list, DriverKind kind) {
  return std::find(list.begin(), list.end(), kind) != list.end();
}

/// A folder beside the homes that must stay as it is, with what symlinks could reach in it.
struct Outside {
  explicit Outside(const TestFilesystem& filesystem) : folder(filesystem) {
    Dir top = Dir::open(folder.path());
    top.make_path("a/b/c", 0755).write_new("file", "outside", 0644);
    top.write_new("kept", "outside", 0644);
    before = snapshot(folder.path());
  }
  void check_untouched() const { CHECK(changes(before, snapshot(folder.path())) == ""); }
  TestFolder folder;
  Snapshot before;
};

/// What lies in the source's home, but for the time of a change of the inode, which a hard link sets.
Snapshot view_of_source(const TestHome& home) {
  return snapshot(home.path(), nullptr, ChangeTimes::left_out);
}

}  // namespace

TEST_CASE("hostile content is carried as it is, and nothing outside is opened or changed") {
  for (const Case& from : cases()) {
    SUBCASE(from.name().c_str()) {
      Outside outside(from.filesystem);
      TestHome source(from.driver, from.filesystem);
      std::vector<PlannedLayer> layers{hostile_layer("hostile base", std::nullopt, LayerRole::image)};
      layers.push_back(hostile_layer("hostile top", layers[0].id, LayerRole::writable));
      std::vector<OpenWatch> watches;
      {
        OpenLayer base = source->create(layers[0].id, std::nullopt, {});
        fill_hostile(base.root, outside.folder.path());
        source->seal(layers[0].id);
        OpenLayer top = source->create(layers[1].id, layers[0].id, {});
        // Where there was a directory there is a symlink now, and the other way round.
        if (source->form_of(layers[1].id) == LayerForm::tree) {
          top.root.remove_tree("a");
          top.root.unlink("full");
        }
        top.root.make_symlink("a", outside.folder.path() + "/a");
        top.root.make_dir("full", 0755);
        top.root.sub("full").make_symlink("kept", outside.folder.path() + "/kept");
        source->seal(layers[1].id);
      }
      if (!source->layers_are_volumes())
        for (const std::string& name : kOpenedNever)
          watches.emplace_back(source->open(layers[0].id).root.path() + "/a/b/c/" + name);
      Snapshot before = view_of_source(source);
      for (const Case& to : cases()) {
        if (&to.filesystem != &from.filesystem || &to.driver == &from.driver) continue;
        CAPTURE(to.name());
        TestHome target(to.driver, to.filesystem);
        CHECK(carry_hostile(source, target, layers) == "");
        for (const PlannedLayer& layer : layers)
          CHECK(differences(View(*source, layer.id), source->marks(), View(*target, layer.id),
                            target->marks()) == "");
        if (to.driver.mount) CHECK(mount_differences(target, layers[1].id) == "");
      }
      outside.check_untouched();
      CHECK(changes(before, view_of_source(source)) == "");
      for (std::size_t i = 0; i < watches.size(); ++i) {
        CAPTURE(kOpenedNever[i]);
        CHECK_FALSE(watches[i].was_opened());
      }
    }
  }
}

TEST_CASE("what only looks like a driver's mark does not become one") {
  for (const Case& from : cases()) {
    // In a delta these are marks, not content.
    if (from.driver.kind != K::vfs && from.driver.kind != K::btrfs && from.driver.kind != K::zfs) continue;
    for (const Spoof& spoof : spoofs()) {
      SUBCASE((from.name() + ": " + spoof.name).c_str()) {
        TestHome source(from.driver, from.filesystem);
        std::vector<PlannedLayer> layers{hostile_layer("spoofed base", std::nullopt, LayerRole::image)};
        layers.push_back(hostile_layer("spoofed top", layers[0].id, LayerRole::writable));
        {
          OpenLayer base = source->create(layers[0].id, std::nullopt, {});
          base.root.make_path("dir/below", 0755);
          base.root.sub("dir").write_new("kept", "base", 0644);
          source->seal(layers[0].id);
          OpenLayer top = source->create(layers[1].id, layers[0].id, {});
          Dir dir = top.root.sub("dir");
          dir.write_new("new", "top", 0644);
          spoof.make(dir);
          source->seal(layers[1].id);
        }
        for (const Case& to : cases()) {
          if (&to.filesystem != &from.filesystem || &to.driver == &from.driver) continue;
          CAPTURE(to.name());
          TestHome target(to.driver, to.filesystem);
          std::string said = carry_hostile(source, target, layers);
          if (is_among(spoof.refused_by, to.driver.kind)) {
            CHECK_MESSAGE(said.find(spoof.because) != std::string::npos, said);
            CHECK(said.find("dir/") != std::string::npos);
            continue;
          }
          CHECK(said == "");
          CHECK(differences(View(*source, layers[1].id), source->marks(), View(*target, layers[1].id),
                            target->marks()) == "");
          // What the engine will see is what counts.
          if (!to.driver.mount) continue;
          auto seen = to.driver.mount(target.path(), *target, layers[1].id);
          Dir dir = seen->root().sub("dir");
          CHECK(dir.try_sub("below").has_value());
          CHECK(dir.read("kept") == "base");
          CHECK(dir.read("new") == "top");
        }
      }
    }
  }
}

TEST_CASE("whiteout-like names in a layer of overlay2 are files") {
  for (const Case& from : cases()) {
    if (from.driver.kind != K::overlay2) continue;
    SUBCASE(from.name().c_str()) {
      TestHome source(from.driver, from.filesystem);
      std::vector<PlannedLayer> layers{hostile_layer("named base", std::nullopt, LayerRole::image)};
      layers.push_back(hostile_layer("named top", layers[0].id, LayerRole::writable));
      {
        OpenLayer base = source->create(layers[0].id, std::nullopt, {});
        base.root.write_new("x", "shown", 0644);
        source->seal(layers[0].id);
        OpenLayer top = source->create(layers[1].id, layers[0].id, {});
        top.root.write_new(".wh.x", "a file", 0644);
        source->seal(layers[1].id);
      }
      for (const Case& to : cases()) {
        if (&to.filesystem != &from.filesystem || &to.driver == &from.driver) continue;
        CAPTURE(to.name());
        TestHome target(to.driver, to.filesystem);
        std::string said = carry_hostile(source, target, layers);
        if (to.driver.kind == K::aufs || to.driver.kind == K::fuse_overlayfs) {
          CHECK_MESSAGE(said.find("`.wh.x`") == std::string::npos, said);
          CHECK_MESSAGE(said.find("it would be a whiteout") != std::string::npos, said);
          continue;
        }
        ViewDir root = View(*target, layers[1].id).root();
        REQUIRE(root.find("x"));
        REQUIRE(root.find(".wh.x"));
        CHECK(root.holder(*root.find(".wh.x")).read(".wh.x") == "a file");
      }
    }
  }
}

TEST_CASE("what chattr has set in the source stays there, and does not stop the copy") {
  for (const Case& from : cases()) {
    if (from.driver.kind != K::vfs && from.driver.kind != K::overlay2) continue;
    if (from.filesystem.name == "zfs") continue;
    SUBCASE(from.name().c_str()) {
      TestHome source(from.driver, from.filesystem);
      std::vector<PlannedLayer> layers{hostile_layer("closed base", std::nullopt, LayerRole::image)};
      layers.push_back(hostile_layer("closed top", layers[0].id, LayerRole::writable));
      std::vector<Fd> closed;
      auto set = [](const Fd& file, int flags) {
        int all = 0;
        REQUIRE(::ioctl(file.get(), FS_IOC_GETFLAGS, &all) == 0);
        all = (all & ~(FS_IMMUTABLE_FL | FS_APPEND_FL)) | flags;
        REQUIRE(::ioctl(file.get(), FS_IOC_SETFLAGS, &all) == 0);
      };
      OpenLayer base = source->create(layers[0].id, std::nullopt, {});
      base.root.make_dir("dir", 0755);
      base.root.sub("dir").write_new("fixed", "fixed", 0644);
      base.root.sub("dir").write_new("log", "log", 0644);
      source->seal(layers[0].id);
      closed.push_back(base.root.sub("dir").open_file("fixed"));
      closed.push_back(base.root.sub("dir").open_file("log"));
      closed.push_back(Fd(::fcntl(base.root.sub("dir").fd(), F_DUPFD_CLOEXEC, 0)));
      OpenLayer top = source->create(layers[1].id, layers[0].id, {});
      source->seal(layers[1].id);
      set(closed[0], FS_IMMUTABLE_FL);
      set(closed[1], FS_APPEND_FL);
      set(closed[2], FS_IMMUTABLE_FL);
      for (const Case& to : cases()) {
        if (&to.filesystem != &from.filesystem || &to.driver == &from.driver) continue;
        CAPTURE(to.name());
        TestHome target(to.driver, to.filesystem);
        CHECK(carry_hostile(source, target, layers) == "");
        CHECK(differences(View(*source, layers[1].id), source->marks(), View(*target, layers[1].id),
                          target->marks()) == "");
      }
      int flags = 0;
      REQUIRE(::ioctl(closed[0].get(), FS_IOC_GETFLAGS, &flags) == 0);
      CHECK((flags & FS_IMMUTABLE_FL) != 0);
      for (const Fd& file : closed) set(file, 0);
    }
  }
}

TEST_CASE(
    "a whole migration of hostile content changes nothing before the switch, nor once it is rolled back") {
  for (const char* to : {"vfs", "fuse-overlayfs"}) {
    CAPTURE(std::string(to));
    SampleHost host(filesystem("ext4"));
    std::string above = host.root().substr(0, host.root().rfind('/'));
    Dir::open(above).make_path("outside/a/b/c", 0755).write_new("file", "outside", 0644);
    std::string id = host.inventory().mounts.begin()->second.mount_id;
    fill_hostile(Dir::open(host.path("overlay2/" + id + "/diff")), above + "/outside");
    // The engine's lock file, which a drover makes where there is none.
    Dir volumes = Dir::open(host.root()).make_path("volumes", 0701);
    if (!volumes.exists("metadata.db")) volumes.write_new("metadata.db", "", 0600);
    auto is_own = [](const std::string& path) { return path == "/docker/drover"; };
    // Image files get a second name meanwhile, which sets their times of change; those of all else stay.
    auto look = [&] {
      Snapshot all = snapshot(above, is_own, ChangeTimes::left_out);
      for (const char* holder : {"/", "/docker", "/docker/image"}) all.erase(holder);  // of what was renamed
      return all;
    };
    const std::string config = host.config();
    Snapshot before = look(), outside = snapshot(above + "/outside");
    Confined done = run_confined(
        [&] {
          std::string found = "no switch";
          Run run = host.run({"migrate", "--to", to, "-y", "--force"}, [&](const std::string& line) {
            if (has(line, "switching to")) found = changes(before, look());
          });
          return std::to_string(run.code) + "\n" + found + (run.code == 0 ? "" : run.err);
        },
        {.files = 256});
    CHECK(done.text == "0\n");
    CHECK(changes(outside, snapshot(above + "/outside")) == "");
    CHECK(changes(before, look()) != "");
    check_done(host.run({"rollback", "-y"}));
    Snapshot after = look();
    after["/daemon.json"] = before["/daemon.json"];  // written anew
    CHECK(changes(before, after) == "");
    CHECK(host.config() == config);
    CHECK(changes(outside, snapshot(above + "/outside")) == "");
  }
}
