// Import where something is there already: what is shared, what is in conflict, and how that is settled.
#include <doctest/doctest.h>
#include <sys/mount.h>
#include <unistd.h>

#include "migrate/archive/incoming_store.hpp"
#include "tests/conformance/archive_host.hpp"
#include "tests/conformance/sample_host.hpp"
#include "tests/support/sample_root.hpp"

using namespace drover;
using namespace drover::test;

TEST_CASE("what is there already is shared, a second import is in conflict") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
  check_done(sample.host.run({"export", "sample-base:1", "-o", sample.host.beside("base")}));
  check_done(host.run({"import", "-i", sample.host.beside("base")}));
  std::size_t before = Dir::open(host.path("vfs/dir")).list().size();
  CHECK(before == 1);
  Run more = host.run({"import", "-i", sample.archive});
  check_done(more);
  CHECK(has(more.out, "2 new layers, 1 that were there"));
  CHECK(Dir::open(host.path("vfs/dir")).list().size() == 5);
  CHECK(host.losses_from(sample.host) == "");

  host.remember();
  Run again = host.run({"import", "-i", sample.archive});
  CHECK(again.code == 1);
  CHECK(has(message_of(again), "container worker: there is one of this name and ID"));
  CHECK(
      has(message_of(again), "hint: nothing was changed; choose with --on-conflict skip, rename or replace"));
  CHECK(host.changes() == "");
  check_done(host.run({"import", "-i", sample.archive, "--on-conflict", "skip"}));
  CHECK(host.changes() == "");

  check_done(host.run({"import", "-i", sample.archive, "--on-conflict", "rename"}));
  Inventory two = host.inventory();
  CHECK(two.problems.empty());
  CHECK(two.containers.size() == 2);
  std::string names;
  for (const auto& [id, container] : two.containers) names += container.name + " ";
  CHECK((names == "worker worker-imported " || names == "worker-imported worker "));
  CHECK(host.losses_from(sample.host) == "");

  std::string id = two.containers.begin()->first;
  std::size_t layers = Dir::open(host.path("vfs/dir")).list().size();
  host.remember();
  Run unasked = host.run({"import", "-i", sample.archive, "--on-conflict", "replace"});
  CHECK(unasked.code == 2);
  CHECK(has(message_of(unasked), "there is no terminal to ask on, so nothing was changed"));
  CHECK(host.changes() == "");
  check_done(host.run({"import", "-i", sample.archive, "--on-conflict", "replace", "--yes"}));
  CHECK(Dir::open(host.path("vfs/dir")).list().size() == layers);
  CHECK(host.inventory().containers.size() == 2);
  CHECK(host.losses_from(sample.host) == "");
}

TEST_CASE("a tag that is another image there") {
  ArchivedSample sample;
  Digest there = sample.host.inventory().images.begin()->first;
  auto with_other_tag = [&](ArchiveHost& host) {
    check_done(host.run({"import", "-i", sample.archive}));
    std::string path = host.path("image/overlay2/repositories.json"), text = bytes_of(path);
    Inventory now = host.inventory();
    std::string app, base;
    for (const auto& [id, image] : now.images)
      for (const std::string& reference : image.references) {
        if (reference == "sample-app:1") app = id;
        if (reference == "sample-base:1") base = id;
      }
    std::string from = "\"sample-app:1\":\"sha256:" + app, to = "\"sample-app:1\":\"sha256:" + base;
    std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    write_file(path, text.replace(at, from.size(), to));
    host.remember();
    return std::pair(app, base);
  };
  auto tag = [](const ArchiveHost& host, const std::string& name) {
    for (const auto& [id, image] : host.inventory().images)
      for (const std::string& reference : image.references)
        if (reference == name) return id;
    return std::string("none");
  };
  for (const char* how : {"refuse", "skip", "rename", "replace"}) {
    CAPTURE(std::string(how));
    ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
    auto [app, base] = with_other_tag(host);
    check_done(sample.host.run({"export", "sample-app:1", "-o", sample.host.beside("app")}));
    Run run = host.run({"import", "-i", sample.host.beside("app"), "--on-conflict", how, "--yes"});
    CHECK(run.code == (how == std::string("refuse") ? 1 : 0));
    CHECK(tag(host, "sample-app:1") == (how == std::string("replace") ? app : base));
    CHECK(tag(host, "sample-app:1-imported") == (how == std::string("rename") ? app : "none"));
    if (run.code != 0) CHECK(has(message_of(run), "`sample-app:1` is another image there"));
    if (run.code != 0) CHECK(host.changes() == "");
  }
}

TEST_CASE("an image whose only tag stays what it was is left out, with the layers that only it has") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
  Digest other;
  Dir::open(host.beside("")).make_dir("docker", 0710);
  ArchiveHost made(filesystem("ext4"), DriverKind::overlay2);
  Dir::open(made.beside("")).make_dir("docker", 0710);
  {
    SampleRoot root(made.root(), SampleRoot::Files::overlay2);
    root.add_image("sample-base:1", root.add_layer(std::nullopt, {file("other", "1")}), "/x");
  }
  check_done(made.run({"export", "-o", made.beside("other")}));
  check_done(host.run({"import", "-i", made.beside("other")}));
  host.remember();
  check_done(sample.host.run({"export", "sample-base:1", "-o", sample.host.beside("base")}));
  Run run =
      host.run({"import", "-i", sample.host.beside("base"), "--on-conflict", "skip", "--format", "json"});
  check_done(run);
  CHECK(has(run.out, "\"images\": 0"));
  CHECK(has(run.out, "`sample-base:1` stays what it was"));
  CHECK(host.changes() == "");
  // A container brings the image that it is made of all the same.
  check_done(host.run({"import", "-i", sample.archive, "--on-conflict", "skip"}));
  Inventory now = host.inventory();
  CHECK(now.problems.empty());
  REQUIRE(now.containers.size() == 1);
  CHECK(now.images.contains(*now.containers.begin()->second.image));
}

TEST_CASE("a dry run says what would be done and leaves nothing") {
  ArchivedSample sample;
  ArchiveHost nowhere(filesystem("ext4"), DriverKind::vfs), host(filesystem("ext4"), DriverKind::vfs);
  Run run = nowhere.run({"import", "-i", sample.archive, "--dry-run"});
  check_done(run);
  CHECK(has(run.out, "would import 3 images and 1 containers into vfs"));
  CHECK(has(run.out, "3 new layers, 0 that were there"));
  CHECK_FALSE(nowhere.exists());
  check_done(host.run({"import", "-i", sample.archive}));
  host.remember();
  run =
      host.run({"import", "-i", sample.archive, "--dry-run", "--on-conflict", "replace", "--format", "json"});
  check_done(run);
  CHECK(has(run.out, "container worker is replaced by the imported one"));
  CHECK(host.run({"import", "-i", sample.archive, "--dry-run"}).code == 1);
  CHECK(host.changes() == "");
}

TEST_CASE("an import that was interrupted is not ended on what is not there any more") {
  ArchivedSample sample;
  for (const char* phase : {"making and proving", "placing"}) {
    CAPTURE(std::string(phase));
    ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
    check_done(sample.host.run({"export", "sample-base:1", "-o", sample.host.beside("base")}));
    check_done(host.run({"import", "-i", sample.host.beside("base")}));
    auto kill_at = [&](const std::string& line) {
      if (has(line, phase)) ::_exit(9);
    };
    REQUIRE(host.run_apart({"import", "-i", sample.archive, "-j", "1"}, kill_at) == "killed");
    // As an engine would that was told to remove the image.
    Inventory before = host.inventory();
    Dir records = Dir::open(host.root()).walk("image/vfs");
    records.walk("imagedb/content/sha256").unlink(before.images.begin()->first);
    records.walk("layerdb/sha256").remove_tree(before.layers.begin()->first);
    records.write_atomic("repositories.json", "{}", 0600, 0, 0);
    Dir::open(host.path("vfs/dir")).remove_tree(before.layers.begin()->second.cache_id);
    host.remember();
    Run refused = host.run({"import", "--resume"});
    CHECK(refused.code == 1);
    CHECK(has(message_of(refused), "was there when the import began, and is not as it was"));
    check_done(host.run({"rollback", "--yes"}));
    check_done(host.run({"import", "-i", sample.archive}));
    CHECK(host.losses_from(sample.host) == "");
  }
}

TEST_CASE("tags that were set go back though not every record is in its place") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
  auto kill_at = [&](const std::string& line) {
    if (has(line, "placing")) ::_exit(9);
  };
  check_done(sample.host.run({"export", "sample-base:1", "-o", sample.host.beside("base")}));
  check_done(host.run({"import", "-i", sample.host.beside("base")}));
  host.remember();
  REQUIRE(host.run_apart({"import", "-i", sample.archive, "-j", "1"}, kill_at) == "killed");
  // As a cut leaves it where one of the records came to be there by an engine's hand.
  Inventory wanted = sample.host.inventory();
  std::map<std::string, Digest> tags;
  for (const auto& [id, image] : wanted.images)
    for (const std::string& reference : image.references) tags[reference] = id;
  write_file(host.path("image/overlay2/repositories.json"), repositories_text(tags));
  check_done(host.run({"rollback", "--yes"}));
  Inventory now = host.inventory();
  CHECK(now.problems.empty());
  REQUIRE(now.images.size() == 1);
  CHECK(now.images.begin()->second.references == std::vector<std::string>{"sample-base:1"});
}

TEST_CASE("what was replaced does not come back under a name that is taken by now") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
  check_done(host.run({"import", "-i", sample.archive}));
  std::string id = host.inventory().containers.begin()->first, other(64, 'c');
  host.remember();
  auto kill_at = [&](const std::string& line) {
    if (has(line, "placing")) ::_exit(9);
  };
  REQUIRE(host.run_apart({"import", "-i", sample.archive, "--on-conflict", "replace", "--yes"}, kill_at) ==
          "killed");
  // Cut when it was just put aside; then an engine makes another one of its name.
  Dir folder = Dir::open(host.path("drover")), containers = Dir::open(host.path("containers"));
  Dir kept = folder.sub(folder.list().front().name).make_path("kept/containers", 0700);
  containers.rename(id, kept, id);
  containers.make_dir(other, 0710);
  containers.sub(other).write_new("config.v2.json",
                                  R"({"ID":")" + other +
                                      R"(","Name":"/worker","Driver":"vfs","Image":"sha256:)" +
                                      host.inventory().images.begin()->first + R"("})",
                                  0600);
  Dir mount = Dir::open(host.path("image/vfs/layerdb/mounts")).make_path(other, 0755);
  mount.write_new("mount-id", other, 0644);
  for (int i = 0; i < 2; ++i) {
    Run refused = host.run({"rollback", "--yes"});
    CHECK(refused.code == 1);
    CHECK(has(message_of(refused), "container worker has the name of one that was replaced"));
  }
  containers.remove_tree(other);
  Dir::open(host.path("image/vfs/layerdb/mounts")).remove_tree(other);
  check_done(host.run({"rollback", "--yes"}));
  CHECK(host.changes() == "");
}

TEST_CASE("past the point of no return what was imported is the user's, and only the rest is cleared away") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
  check_done(host.run({"import", "-i", sample.archive}));
  Inventory before = host.inventory();
  std::string layer = before.mounts.begin()->second.mount_id;
  auto mount_something = [&] {
    Dir tree = Dir::open(host.path("vfs/dir")).sub(layer);
    tree.make_dir("held", 0755);
    REQUIRE(::mount("none", tree.path_of("held").c_str(), "tmpfs", 0, nullptr) == 0);
  };
  // The layer that is replaced cannot be removed while something is mounted in it.
  bool held = false;
  auto hold = [&](const std::string& line) {
    if (!held && has(line, "placing")) mount_something();
    held = held || has(line, "placing");
  };
  Run run = host.run({"import", "-i", sample.archive, "--on-conflict", "replace", "--yes"}, hold);
  CHECK(run.code != 0);
  CHECK(has(message_of(run), "hint: `drover import --resume` finishes it"));
  Run refused = host.run({"rollback", "--yes"});
  CHECK(has(message_of(refused), "everything is imported already"));
  // As an engine that is told to untag one.
  std::string repositories = host.path("image/vfs/repositories.json");
  write_file(repositories, R"({"Repositories":{}})");
  REQUIRE(::umount(host.path("vfs/dir/" + layer + "/held").c_str()) == 0);
  check_done(host.run({"import", "--resume"}));
  CHECK(bytes_of(repositories) == R"({"Repositories":{}})");
  CHECK_FALSE(Dir::open(host.root()).exists("drover"));
  CHECK(Dir::open(host.path("vfs/dir")).list().size() == 5);
}

TEST_CASE("what has taken a name while an import was interrupted is neither lost nor doubled") {
  ArchivedSample sample;
  for (const char* phase : {"making and proving", "placing"}) {
    CAPTURE(std::string(phase));
    ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
    check_done(sample.host.run({"export", "sample-base:1", "-o", sample.host.beside("base")}));
    check_done(host.run({"import", "-i", sample.host.beside("base")}));
    auto kill_at = [&](const std::string& line) {
      if (has(line, phase)) ::_exit(9);
    };
    REQUIRE(host.run_apart({"import", "-i", sample.archive, "-j", "1"}, kill_at) == "killed");
    // As an engine would: another container of that name, and one of the tags on another image.
    std::string id(64, 'c'), base = host.inventory().images.begin()->first;
    Dir containers = Dir::open(host.root()).make_path("containers", 0710);
    containers.make_dir(id, 0710);
    containers.sub(id).write_new(
        "config.v2.json",
        R"({"ID":")" + id + R"(","Name":"/worker","Driver":"overlay2","Image":"sha256:)" + base + R"("})",
        0600);
    std::string repositories = host.path("image/overlay2/repositories.json");
    write_file(repositories, R"({"Repositories":{"sample-base":{"sample-base:1":"sha256:)" + base +
                                 R"("},"sample-app":{"sample-app:1":"sha256:)" + base + R"("}}})");
    Run refused = host.run({"import", "--resume"});
    CHECK(refused.code == 1);
    CHECK(has(message_of(refused), "there is a container worker by now"));
    containers.remove_tree(id);
    Run resumed = host.run({"import", "--resume", "--format", "json"});
    check_done(resumed);
    CHECK(has(resumed.out, "`sample-app:1` was set to " + short_id(base) + " since, and stays that"));
    Inventory now = host.inventory();
    CHECK(now.problems.empty());
    CHECK(now.containers.size() == 1);
    for (const auto& [image, record] : now.images)
      for (const std::string& reference : record.references)
        if (reference == "sample-app:1") CHECK(image == base);
  }
}

TEST_CASE("tags are set beside tens of thousands of others, and beside a name that is no UTF-8") {
  ArchivedSample sample;
  ArchiveHost host(filesystem("ext4"), DriverKind::overlay2);
  check_done(sample.host.run({"export", "sample-base:1", "-o", sample.host.beside("base")}));
  check_done(host.run({"import", "-i", sample.host.beside("base")}));
  std::string path = host.path("image/overlay2/repositories.json"), text = bytes_of(path), more;
  std::string id = host.inventory().images.begin()->first;
  for (int i = 10000; i < 50000; ++i)
    more += "\"many:" + std::to_string(i) + "\":\"sha256:" + id + "\"" + (i < 49999 ? "," : "");
  std::string begin = R"({"Repositories":{)";
  REQUIRE(text.starts_with(begin));
  write_file(path, begin + "\"caf\xe9\":{\"caf\xe9:1\":\"sha256:" + id + "\"},\"many\":{" + more + "}," +
                       text.substr(begin.size()));
  check_done(host.run({"import", "-i", sample.archive}));
  Inventory now = host.inventory();
  CHECK(now.problems.empty());
  CHECK(now.images.at(id).references.size() == 40002);
  CHECK(now.images.size() == 3);
  CHECK(now.containers.size() == 1);
}
