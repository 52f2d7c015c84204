// Every ordered pair of drivers on every filesystem that holds both: a stack is carried over as a migration
// does it, and nothing may differ.
#include <doctest/doctest.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <map>
#include <set>

#include "drivers/sys/error.hpp"
#include "migrate/stage_layer.hpp"
#include "tests/conformance/drivers_under_test.hpp"
#include "tests/conformance/layer_script.hpp"
#include "tests/conformance/stacks.hpp"

using namespace drover;
using namespace drover::test;

namespace {

Plan plan_of_script(DriverKind from, DriverKind to) {
  Plan plan;
  plan.from = from;
  plan.to = to;
  for (std::size_t i = 0; i < layer_script().size(); ++i) {
    PlannedLayer layer;
    layer.id = layer_script()[i].id();
    layer.parent = parent_of(i);
    layer.role = layer_script()[i].role;
    layer.head = true;
    plan.layers.push_back(std::move(layer));
  }
  return plan;
}

/// Carries the script's stack over. All its counts together, and those of the base alone: what the kernel's
/// overlay has copied up in other layers carries marks of its own, and is not linked.
struct Carried {
  TransferCount all, base;
};
Carried carry(const TestHome& source, const TestHome& target) {
  Plan plan = plan_of_script(source->kind(), target->kind());
  Inventory inventory{};
  Dir records = Dir::open(source.above());
  LayerStager stager(records, inventory, plan, *source, *target);
  Carried carried;
  for (const PlannedLayer& layer : plan.layers) {
    TransferCount count = stager.stage(layer);
    carried.all += count;
    if (!layer.parent) carried.base = count;
    // An image layer without records has no proof of its own: its view is compared below.
    if (layer.immutable()) continue;
    CHECK(stager.prove(layer, false) == LayerCheck::compared);
    stager.prove_whole(layer);
  }
  return carried;
}

using Inode = std::pair<dev_t, ino_t>;

/// All inodes of a layer's own files, folders left out.
std::set<Inode> inodes_of(const Driver& driver, const LayerId& id) {
  std::set<Inode> inodes;
  OpenLayer layer = driver.open(id);
  std::vector<Dir> folders;
  folders.push_back(layer.root.clone());
  while (!folders.empty()) {
    Dir dir = std::move(folders.back());
    folders.pop_back();
    for (const DirEntry& entry : dir.list()) {
      struct stat st = dir.stat(entry.name);
      if (S_ISDIR(st.st_mode))
        folders.push_back(dir.sub(entry.name));
      else
        inodes.emplace(st.st_dev, st.st_ino);
    }
  }
  return inodes;
}

std::size_t shared(const std::set<Inode>& a, const std::set<Inode>& b) {
  std::size_t count = 0;
  for (const Inode& inode : a) count += b.count(inode);
  return count;
}

Fd open_file(const Driver& driver, const LayerId& id, const char* path) {
  auto fd = View(driver, id).open(path);
  REQUIRE(fd);
  return std::move(*fd);
}

struct stat stat_of(const Fd& fd) {
  struct stat st {};
  REQUIRE(::fstat(fd.get(), &st) == 0);
  return st;
}

/// Whether the first extent of a file belongs to another file, too.
bool shares_extents(const Fd& fd) {
  alignas(fiemap) char room[sizeof(fiemap) + sizeof(fiemap_extent)] = {};
  auto* map = new (room) fiemap{};
  map->fm_length = FIEMAP_MAX_OFFSET;
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = 1;
  REQUIRE(::ioctl(fd.get(), FS_IOC_FIEMAP, map) == 0);
  REQUIRE(map->fm_mapped_extents == 1);
  return map->fm_extents[0].fe_flags & FIEMAP_EXTENT_SHARED;
}

void check_nothing_differs(const TestHome& source, const TestHome& target, const ModelStack& model) {
  for (std::size_t i = 0; i < layer_script().size(); ++i) {
    const ScriptLayer& layer = layer_script()[i];
    CAPTURE(std::string(layer.name));
    CHECK(differences(View(*source, layer.id()), source->marks(), View(*target, layer.id()),
                      target->marks()) == "");
    if (layer.same_everywhere)
      CHECK(differences(model.view(i), Marks::none, View(*target, layer.id()), target->marks()) == "");
  }
}

void check_marks_are_real(const TestHome& target) {
  const DriverUnderTest& driver = target.under_test();
  for (std::size_t i = 0; i < layer_script().size(); ++i) {
    const ScriptLayer& layer = layer_script()[i];
    CAPTURE(std::string(layer.name));
    if (driver.mount) CHECK(mount_differences(target, layer.id()) == "");
    if (driver.inspect) driver.inspect(target.path(), *target, layer.id(), parent_of(i));
  }
}

/// Image layers share what they can; what a container writes to shares no inode with anything.
void check_sharing(const TestHome& source, const TestHome& target, const Carried& carried, bool reflinks) {
  bool volumes = source->layers_are_volumes() || target->layers_are_volumes();
  // Layers with filesystems of their own share nothing, and one has its device's number after another.
  bool apart = source->space() || target->space();
  const LayerId base = layer_script()[0].id();
  struct stat before = stat_of(open_file(*source, base, kBigFile));
  struct stat after = stat_of(open_file(*target, base, kBigFile));
  bool same_inode = before.st_dev == after.st_dev && before.st_ino == after.st_ino;
  CHECK(same_inode == !volumes);
  if (!volumes) {
    CHECK(carried.base.linked > 0);
    CHECK(carried.base.copied == 0);
    CHECK(carried.base.reflinked == 0);
  }
  reflinks = reflinks && !apart;
  CHECK((carried.all.reflinked > 0) == reflinks);
  if (reflinks) {
    CHECK(carried.all.copied_bytes == 0);
    CHECK(shares_extents(open_file(*target, layer_script().back().id(), kContainerFile)));
  }
  if (apart) return;
  std::set<Inode> others;
  for (const LayerId& id : source->layers()) others.merge(inodes_of(*source, id));
  for (const ScriptLayer& layer : layer_script()) {
    if (layer.role == LayerRole::image) others.merge(inodes_of(*target, layer.id()));
  }
  for (const ScriptLayer& layer : layer_script()) {
    if (layer.role == LayerRole::image) continue;
    CAPTURE(std::string(layer.name));
    std::set<Inode> own = inodes_of(*target, layer.id());
    CHECK(shared(own, others) == 0);
    others.merge(own);
  }
}

void check_holes_are_kept(const TestHome& target) {
  for (const ScriptLayer& layer : layer_script()) {
    CAPTURE(std::string(layer.name));
    struct stat st = stat_of(open_file(*target, layer.id(), kSparseFile));
    CHECK(st.st_size == kSparseSize);
    CHECK(st.st_blocks * 512 < kSparseSize / 16);
  }
}

void check_pair(const TestHome& source, const ModelStack& model, const DriverUnderTest& to,
                const TestFilesystem& filesystem) {
  TestHome target(to, filesystem);
  Carried carried = carry(source, target);
  check_nothing_differs(source, target, model);
  check_marks_are_real(target);
  check_sharing(source, target, carried, filesystem.reflinks);
  check_holes_are_kept(target);
}

}  // namespace

TEST_CASE("a stack is carried from each driver to each other one on the same filesystem") {
  for (const Case& from : cases()) {
    SUBCASE(from.name().c_str()) {
      // Names are as long as both can hold.
      std::map<std::size_t, std::vector<const DriverUnderTest*>> targets;
      for (const Case& to : cases())
        if (&to.filesystem == &from.filesystem && &to.driver != &from.driver)
          targets[std::min(longest_name(from.driver), longest_name(to.driver))].push_back(&to.driver);
      for (const auto& [longest, drivers] : targets) {
        TestHome source(from.driver, from.filesystem);
        TestFolder folder(from.filesystem);
        ModelStack model(folder.path(), longest);
        write_stack(source, model);
        for (const DriverUnderTest* to : drivers) {
          CAPTURE(std::string(to->name()));
          check_pair(source, model, *to, from.filesystem);
        }
      }
    }
  }
}
