// What `drover layers` tells of a container's layer must not depend on the driver: a container is changed as
// programs do, through the engine's own mount where this kernel has it, and read from the files on disk.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "drivers/clone_tree.hpp"
#include "drivers/sys/copy_content.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/layer_content.hpp"
#include "tests/conformance/layer_script.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/conformance/stacks.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr std::size_t kLarge = 4 << 20;
const LayerId kImage = id_of("image"), kContainer = id_of("container");

void write_at(const Dir& dir, const std::string& name, off_t at, std::string_view bytes) {
  Fd file = dir.open_file(name, O_WRONLY);
  if (::pwrite(file.get(), bytes.data(), bytes.size(), at) != static_cast<ssize_t>(bytes.size()))
    throw_errno("cannot write `" + name + "`");
}

void write_image(const Dir& root) {
  TreeHand hand(root, 200);
  for (const char* folder : {"db", "etc", "old", "old/sub", "cache", "kept"}) hand.folder(folder);
  for (const char* name : {"db/table", "db/rewritten", "db/owned", "db/untouched"})
    hand.file(name, std::string(kLarge, 'd'));
  hand.file("etc/motd", "hello");
  hand.file("old/a", "12345");
  hand.file("old/sub/b", "1234567");
  hand.file("cache/a", "123");
  hand.file("cache/b", "1234");
  hand.file("kept/file", "1");
  hand.settle();
}

void change_container(const Dir& root) {
  TreeHand hand(root, 200);
  write_at(root.sub("db"), "table", kLarge / 2, "changed");
  write_at(root.sub("db"), "rewritten", 0, std::string(kLarge, 'n'));
  hand.own("db/owned", 7, 8);
  hand.append("etc/motd", " and more");
  hand.remove("old");
  hand.remove("cache");
  hand.folder("cache");
  hand.file("cache/a", "12");
  hand.file("new", "123456789");
}

/// An image layer and a container's on it, as the driver keeps them.
void make_layers(const TestHome& home, const TestFilesystem& filesystem) {
  TestFolder folder(filesystem);
  Dir model = Dir::open(folder.path()).make_path("before", 0755);
  write_image(model);
  write_changes(model, nullptr, *home, kImage, home->create(kImage, std::nullopt, {}));
  home->seal(kImage);
  OpenLayer made = home->create(kContainer, kImage, {});
  if (home.under_test().mount) {
    change_container(home.under_test().mount(home.path(), *home, kContainer)->root());
  } else if (home->form_of(kContainer) == LayerForm::tree) {
    change_container(made.root);
  } else {
    Dir after = Dir::open(folder.path()).make_path("after", 0755);
    clone_tree(model, after, false);
    change_container(after);
    write_changes(after, &model, *home, kContainer, made);
  }
  home->seal(kContainer);
}

template <class T>
std::string names(const Largest<T>& list) {
  std::set<std::string> sorted;
  for (const T& item : list.items()) sorted.insert(item.path);
  std::string text;
  for (const std::string& path : sorted) text += (text.empty() ? "" : " ") + path;
  return text;
}

}  // namespace

TEST_CASE(
    "layers: what a container has copied up, hidden and hardly written is the same under every driver") {
  for (const Case& one : cases()) {
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem);
      make_layers(home, one.filesystem);
      LayerContent content = read_layer_content(Dir::open(home.above()), *home,
                                                {kContainer, kImage, std::nullopt, true, true, 100});
      CHECK(names(content.small_writes) == "db/owned db/table");
      for (const SmallWrite& write : content.small_writes.items())
        CHECK(write.changed_bytes == (write.path == "db/owned" ? 0 : kContentBlock));
      // Where the directory that was made again is marked as such, all of it is told in one.
      bool in_one = names(content.hidden) == "cache old";
      CHECK((in_one || names(content.hidden) == "cache/b old"));
      CHECK(content.hidden_bytes() == 3 * kLarge + 5 + 19);
      std::string copied = "db/owned db/rewritten db/table etc/motd";
      CHECK(names(content.copied_up) == (in_one ? copied : "cache/a " + copied));
      CHECK(names(content.added) == (in_one ? "cache/a new" : "new"));
      CHECK(content.files == 6);
      CHECK(content.bytes == 3 * kLarge + 14 + 2 + 9);

      LayerContent image = read_layer_content(Dir::open(home.above()), *home,
                                              {kImage, std::nullopt, std::nullopt, true, false, 0});
      CHECK(image.files == 10);
      CHECK(image.bytes == 4 * kLarge + 25);
      CHECK(image.added.count() == 10);
      CHECK(image.hidden_bytes() == 0);
      CHECK_FALSE(home->place_of(kContainer).empty());
    }
  }
}

TEST_CASE("layers: the same of a store before and after a migration") {
  SampleHost host(filesystem("ext4"));
  auto told = [&](const std::string& name) {
    Run run = host.run({"layers", name, "--format", "json"});
    CHECK(run.code == 0);
    return nlohmann::json::parse(run.out);
  };
  auto numbers = [&](const std::string& name) {
    nlohmann::json json = told(name);
    std::string text;
    for (const auto& layer : json["layers"]) {
      text += layer["role"].get<std::string>() + " " + layer["bytes"].dump() + " " +
              layer["created_by"].dump() + " " + layer["shared_by"].dump() + " " +
              layer["content"]["files"].dump() + " " + layer["content"]["bytes"].dump() + " " +
              layer["content"]["hidden_bytes"].dump() + "\n";
    }
    return text;
  };
  std::string worker = numbers("worker"), slim = numbers("sample-app:slim");
  CHECK(told("worker")["layers"][0]["place"].get<std::string>().starts_with(host.path("overlay2/")));
  Run before = host.run({"layers"});
  CHECK(before.code == 0);
  check_done(host.run({"migrate", "--to", "vfs", "--yes"}));
  CHECK(numbers("worker") == worker);
  CHECK(numbers("sample-app:slim") == slim);
  CHECK(told("worker")["layers"][0]["place"].get<std::string>().starts_with(host.path("vfs/dir/")));
  Run after = host.run({"layers"});
  CHECK(after.code == 0);
  CHECK(after.out.substr(after.out.find('\n')) == before.out.substr(before.out.find('\n')));
}

TEST_CASE("layers: nothing is changed, and an engine at work is told of") {
  SampleHost host(filesystem("ext4"));
  for (const std::vector<std::string>& words : {std::vector<std::string>{"layers"},
                                                {"layers", "worker", "--no-trunc"},
                                                {"layers", "sample-app", "--format", "svg"},
                                                {"layers", "--format", "dot"}}) {
    Run run = host.run(words);
    CHECK(run.code == 0);
  }
  CHECK(host.damage() == "");
  CHECK_FALSE(host.exists("volumes"));
  auto running = [&] {
    return nlohmann::json::parse(host.run({"layers", "--format", "json"}).out)["engine_running"];
  };
  CHECK(running() == false);
  EngineLock lock = EngineLock::take(host.root());
  CHECK(running() == true);
}

TEST_CASE("layers: what cannot be read is told, and the rest is shown") {
  SampleHost host(filesystem("ext4"));
  Inventory inventory = host.inventory();
  const MountRecord& mount = inventory.mounts.begin()->second;
  Dir layer = Dir::open(host.path("overlay2/" + mount.mount_id));
  layer.write_atomic("lower", "l/nowhere", 0644);
  Run run = host.run({"layers", "worker"});
  CHECK(run.code == 3);
  CHECK(has(run.out, "writable   ?"));
  CHECK(host.run({"layers"}).code == 3);
  CHECK(host.run({"layers", "sample-app:slim"}).code == 0);
}
