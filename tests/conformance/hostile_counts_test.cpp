// Directories with very many entries, files with very many names, and files that change while they are read.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <sstream>
#include <thread>

#include "drivers/sys/error.hpp"
#include "migrate/archive/byte_stream.hpp"
#include "migrate/stage_layer.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/layer_script.hpp"
#include "tests/conformance/sample_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr int kLinksOfExt4 = 65'000;  // EXT4_LINK_MAX
constexpr long kBytesOfAnEntry = 1'000;
constexpr long kBytesAtLeast = 200 << 20;

PlannedLayer counted_layer(LayerRole role) {
  PlannedLayer layer;
  layer.id = id_of("counted");
  layer.role = role;
  layer.head = true;
  return layer;
}

/// Carries a source's one layer with little of everything: "done", or what was said.
Confined carry_counted(const TestHome& source, const TestHome& target, const PlannedLayer& layer,
                       const Means& means) {
  return run_confined(
      [&] {
        Plan plan;
        plan.from = source->kind();
        plan.to = target->kind();
        plan.layers = {layer};
        Inventory inventory{};
        Dir records = Dir::open(source.above());
        LayerStager stager(records, inventory, plan, *source, *target);
        stager.stage(layer);
        // An image's layer is proven by records that there are none of here.
        if (layer.role != LayerRole::image) stager.prove(layer, false);
        return std::string("done");
      },
      means);
}

const Case* find_case(DriverKind kind, const std::string& filesystem) {
  for (const Case& one : cases())
    if (one.driver.kind == kind && one.filesystem.name == filesystem) return &one;
  MESSAGE("SKIP: " << driver_name(kind) << " on " << filesystem << ": this host has none");
  return nullptr;
}

/// One file with that many names in one folder.
void make_names(const Dir& root, int names) {
  root.make_dir("names", 0755);
  Dir dir = root.sub("names");
  dir.write_new("0", "one file", 0644);
  for (int i = 1; i < names; ++i)
    if (::linkat(dir.fd(), "0", dir.fd(), std::to_string(i).c_str(), 0) != 0) throw_errno("cannot link");
}

/// A folder in the container's own layer, whose files change while all else stays as it was made.
Dir make_changing(const SampleHost& host) {
  Dir upper = Dir::open(host.path("overlay2/" + host.inventory().mounts.begin()->second.mount_id + "/diff"));
  struct stat st = upper.stat();
  upper.make_dir("changing", 0755);
  const timespec times[] = {st.st_atim, st.st_mtim};
  if (::futimens(upper.fd(), times) != 0) throw_errno("cannot set times");
  return upper.sub("changing");
}

/// What a migration that ended well is to have carried: everything, whatever became of those files.
void check_all_but_changing(const SampleHost& host, DriverKind to) {
  check_done(host.run({"verify"}));
  std::istringstream lines(host.losses(to));
  for (std::string line; std::getline(lines, line);) CHECK_MESSAGE(has(line, "changing"), line);
}

}  // namespace

TEST_CASE("a directory of very many entries is carried") {
  const int entries = at_full_size("20,000 entries in a directory") ? 1'000'000 : 20'000;
  for (auto [from, to, where] : {std::tuple{DriverKind::overlay2, DriverKind::vfs, "xfs"},
                                 {DriverKind::vfs, DriverKind::overlay2, "xfs"},
                                 {DriverKind::btrfs, DriverKind::overlay2, "btrfs"}}) {
    const Case *source_case = find_case(from, where), *target_case = find_case(to, where);
    if (!source_case || !target_case) continue;
    CAPTURE(source_case->name());
    TestHome source(source_case->driver, source_case->filesystem);
    TestHome target(target_case->driver, target_case->filesystem);
    PlannedLayer layer = counted_layer(LayerRole::writable);
    {
      OpenLayer made = source->create(layer.id, std::nullopt, {});
      made.root.make_dir("many", 0755);
      Dir many = made.root.sub("many");
      for (int i = 0; i < entries; ++i) many.write_new("entry-" + std::to_string(i), "", 0644);
      source->seal(layer.id);
    }
    Confined done = carry_counted(source, target, layer, {.memory_bytes = rlim_t{3} << 30, .seconds = 600});
    CHECK(done.text == "done");
    CHECK(done.peak_bytes < kBytesAtLeast + entries * kBytesOfAnEntry);
    CHECK(View(*target, layer.id).root().sub({"many", 0}).entries().size() ==
          static_cast<std::size_t>(entries));
  }
}

TEST_CASE("a file with as many names as a filesystem can give keeps them all") {
  // An image's file would be linked into the target where it can be.
  for (auto [from, to, role] : {std::tuple{DriverKind::overlay2, DriverKind::vfs, LayerRole::image},
                                {DriverKind::vfs, DriverKind::overlay2, LayerRole::writable}}) {
    const Case *source_case = find_case(from, "ext4"), *target_case = find_case(to, "ext4");
    if (!source_case || !target_case) continue;
    CAPTURE(source_case->name());
    TestHome source(source_case->driver, source_case->filesystem);
    TestHome target(target_case->driver, target_case->filesystem);
    PlannedLayer layer = counted_layer(role);
    {
      OpenLayer made = source->create(layer.id, std::nullopt, {});
      make_names(made.root, kLinksOfExt4);
      source->seal(layer.id);
    }
    CHECK(carry_counted(source, target, layer, {}).text == "done");
    struct stat st = View(*target, layer.id).root().sub({"names", 0}).top().stat("0");
    CHECK(st.st_nlink == kLinksOfExt4);
  }
}

TEST_CASE("a file with more names than the target's filesystem can give is refused by name") {
  const Case *source_case = find_case(DriverKind::vfs, "xfs"),
             *target_case = find_case(DriverKind::overlay2, "ext4");
  if (!source_case || !target_case) return;
  TestHome source(source_case->driver, source_case->filesystem);
  TestHome target(target_case->driver, target_case->filesystem);
  PlannedLayer layer = counted_layer(LayerRole::image);
  {
    OpenLayer made = source->create(layer.id, std::nullopt, {});
    make_names(made.root, kLinksOfExt4 + 10);
    source->seal(layer.id);
  }
  Confined done = carry_counted(source, target, layer, {});
  CHECK_MESSAGE(has(done.text, "names/"), done.text);
  CHECK_MESSAGE(has(done.text, "more names (65010) than the target's filesystem can give it"), done.text);
}

TEST_CASE("a file that changes while it is read ends in an error or in what was proven") {
  SampleHost host(filesystem("ext4"));
  Dir changing = make_changing(host);
  changing.write_new("grows", "", 0644);
  changing.write_new("flips", std::string(4 << 20, 'a'), 0644);
  std::atomic<bool> over = false;
  std::atomic<std::uint64_t> changes_made = 0;
  std::thread writer([&] {
    Fd grows = changing.open_file("grows", O_WRONLY | O_APPEND), flips = changing.open_file("flips", O_RDWR);
    std::string block(256 << 10, 'b');
    for (std::uint64_t i = 0; !over; ++i) {
      block[0] = static_cast<char>(i);
      if (i % 64 == 0 && ::ftruncate(grows.get(), 0) != 0) return;
      if (::write(grows.get(), block.data(), block.size()) < 0) return;
      if (::ftruncate(flips.get(), static_cast<off_t>(i % 3) << 20) != 0) return;
      if (::pwrite(flips.get(), block.data(), block.size(), 1 << 20) < 0) return;
      // What has the name is another kind of entry for a moment.
      if (i % 2 == 0 && ::unlinkat(changing.fd(), "kind", 0) == 0)
        ::mknodat(changing.fd(), "kind", S_IFIFO | 0644, 0);
      else if (::unlinkat(changing.fd(), "kind", 0) == 0 || errno == ENOENT)
        changing.write_new("kind", "file", 0644);
      ++changes_made;
    }
  });
  // Each try is a new migration; the pauses in between are those of the tries themselves.
  constexpr int kTries = 6;
  for (int i = 0; i < kTries; ++i) {
    DriverKind to = i % 2 == 0 ? DriverKind::vfs : DriverKind::fuse_overlayfs;
    Confined done = drover_confined(
        {"migrate", "--to", std::string(driver_name(to)), "-y", "--force", "--data-root", host.root(),
         "--config", host.root().substr(0, host.root().rfind('/')) + "/daemon.json"},
        {.seconds = 60});
    CHECK_MESSAGE(!has(done.text, "killed by"), done.text);
    CHECK_MESSAGE(!has(done.text, "threw"), done.text);
    bool code = done.text.starts_with("0\n") || done.text.starts_with("1\n") || done.text.starts_with("12\n");
    CHECK_MESSAGE(code, done.text);
    if (done.text.starts_with("0\n")) check_all_but_changing(host, to);
    if (host.migration() == "") continue;
    check_done(host.run({"rollback", "-y"}));
  }
  over = true;
  writer.join();
  CHECK(changes_made > 0);
  // With nobody at work any more the same migration is done.
  check_done(host.run({"migrate", "--to", "vfs", "-y"}));
  check_done(host.run({"rollback", "-y"}));
}

TEST_CASE("a file that is changed between two steps is carried whole, as it was or as it is") {
  const std::string old_content(100'000, 'a'), new_content(150'000, 'b');
  for (DriverKind to : {DriverKind::vfs, DriverKind::fuse_overlayfs}) {
    CAPTURE(driver_name(to));
    SampleHost host(filesystem("ext4"));
    const LayerId layer = host.inventory().mounts.begin()->second.mount_id;
    make_changing(host);
    bool carried_old = false, carried_new = false;
    for (int step = 0, steps = 1; step < steps; ++step) {
      CAPTURE(step);
      Dir changing = Dir::open(host.path("overlay2/" + layer + "/diff/changing"));
      if (changing.exists("file")) changing.unlink("file");
      changing.write_new("file", old_content, 0644);
      int line = 0;
      Run run = host.run({"migrate", "--to", std::string(driver_name(to)), "-y", "--force"},
                         [&](const std::string&) {
                           if (line++ != step) return;
                           Fd file = changing.open_file("file", O_WRONLY | O_TRUNC);
                           write_all(file.get(), new_content, "file");
                         });
      steps = std::max(steps, line);
      CHECK_MESSAGE((run.code == 0 || run.code == 12), run.err);
      if (run.code == 0) {
        check_all_but_changing(host, to);
        auto home = driver_entry(to).open(host.path(std::string(driver_name(to))), {});
        std::string content = View(*home, layer).root().sub({"changing", 0}).top().read("file");
        CHECK((content == old_content || content == new_content));
        carried_old = carried_old || content == old_content;
        carried_new = carried_new || content == new_content;
      }
      check_done(host.run({"rollback", "-y"}));
    }
    CHECK(carried_old);
    CHECK(carried_new);
  }
}
