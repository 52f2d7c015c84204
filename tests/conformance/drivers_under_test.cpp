#include "tests/conformance/drivers_under_test.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <algorithm>

#include <map>
#include <stdexcept>

#include "drivers/probe_backing.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/compare_views.hpp"
#include "tests/conformance/engine_mounts.hpp"
#include "tests/conformance/place.hpp"

namespace drover::test {

namespace {
/// With the same filesystem in the pool's devices as around it.
std::vector<std::string> small_pool(const TestFilesystem& filesystem) {
  return {"dm.loopdatasize=1500M", "dm.loopmetadatasize=32M", "dm.basesize=320M", "dm.fs=" + filesystem.name};
}
}  // namespace

const std::vector<DriverUnderTest>& drivers_under_test() {
  static const std::vector<DriverUnderTest> table = {
      {DriverKind::overlay2, {"ext4", "xfs", "btrfs"}, mount_overlay, inspect_overlay},
      {DriverKind::fuse_overlayfs, {"ext4", "xfs", "btrfs"}, mount_fuse_overlayfs, inspect_overlay},
      {DriverKind::vfs, {"ext4", "xfs", "btrfs"}},
      {DriverKind::btrfs, {"btrfs"}, nullptr, inspect_subvolume},
      {DriverKind::aufs, {"ext4", "xfs"}},
      {DriverKind::overlay, {"ext4", "xfs", "btrfs"}, mount_old_overlay, inspect_old_overlay},
      {DriverKind::zfs, {"zfs"}},
      {DriverKind::devicemapper, {"ext4", "xfs"}, nullptr, nullptr, small_pool, 0700, true, true},
  };
  return table;
}

std::vector<std::string> folders_of(DriverKind kind) {
  const auto known = driver_entry(kind).open("/nowhere/home", {})->furniture();
  std::vector<std::string> folders;
  for (std::string_view name : known) {
    std::string folder = std::string(name.substr(0, name.find('/')));
    if (folder != name && std::find(folders.begin(), folders.end(), folder) == folders.end())
      folders.push_back(folder);
  }
  return folders;
}

namespace {

/// How each kind of filesystem is made on a loop file.
const std::map<std::string, std::vector<std::string>>& filesystem_table() {
  static const std::map<std::string, std::vector<std::string>> table = {
      {"ext4", {"mkfs.ext4", "-q"}},
      {"xfs", {"mkfs.xfs", "-q"}},
      {"btrfs", {"mkfs.btrfs", "-q"}},
      {"zfs", {"zpool"}},
  };
  return table;
}

/// A driver that this kernel does not have is left out, and it is said once.
bool is_usable(const DriverUnderTest& driver, const TestFilesystem& filesystem) {
  Probe probe = driver_entry(driver.kind).probe(filesystem.path);
  if (probe.usable == Probe::Usable::no)
    MESSAGE("SKIP: " << driver_name(driver.kind) << " on " << filesystem.name << ": " << probe.reason);
  return probe.usable != Probe::Usable::no;
}

TestFilesystem make_filesystem(const std::string& name, const std::vector<std::string>& mkfs) {
  // As long as the process: what is still mounted ends with its mount namespace.
  static std::vector<std::unique_ptr<TestPlace>> places;
  places.push_back(std::make_unique<TestPlace>(mkfs, "2G"));
  TestFilesystem made{name, places.back()->path, places.back()->error};
  if (made.missing.empty())
    made.reflinks = probe_backing(made.path).reflink.value_or(false);
  else
    made.path.clear();
  return made;
}

HomeSettings settings_of(const DriverUnderTest& driver, const TestFilesystem& filesystem, RootOwner owner) {
  return {owner, driver.storage_opts ? driver.storage_opts(filesystem) : std::vector<std::string>()};
}

std::string new_folder(const TestFilesystem& filesystem) {
  std::string path = filesystem.path + "/test-XXXXXX";
  if (!::mkdtemp(path.data())) throw std::runtime_error("cannot make a folder in " + filesystem.path);
  return path;
}

void remove_folder(const std::string& path) {
  std::size_t cut = path.rfind('/');
  try {
    Dir::open(path.substr(0, cut)).remove_tree(path.substr(cut + 1));
  } catch (const Error& e) {
    log_warning(e.what());
  }
}

}  // namespace

const std::vector<TestFilesystem>& test_filesystems() {
  static const std::vector<TestFilesystem> filesystems = [] {
    std::vector<TestFilesystem> made;
    for (const auto& [name, mkfs] : filesystem_table()) made.push_back(make_filesystem(name, mkfs));
    return made;
  }();
  return filesystems;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> usable = [] {
    std::vector<Case> found;
    for (const TestFilesystem& filesystem : test_filesystems())
      for (const DriverUnderTest& driver : drivers_under_test())
        for (const std::string& name : driver.filesystems)
          if (name == filesystem.name && filesystem.missing.empty() &&
              (!driver.needs_kernel || is_usable(driver, filesystem)))
            found.push_back({driver, filesystem});
    return found;
  }();
  return usable;
}

TestHome::TestHome(const DriverUnderTest& driver, const TestFilesystem& filesystem, RootOwner owner)
    : under_test_(driver),
      above_(new_folder(filesystem)),
      path_(above_ + "/" + driver.name()),
      driver_(driver_entry(driver.kind).open(path_, settings_of(driver, filesystem, owner))) {
  driver_->make_home();
}

TestHome::~TestHome() {
  try {
    driver_->remove_home();
  } catch (const Error& e) {
    log_warning(e.what());
  }
  remove_folder(above_);
}

TestFolder::TestFolder(const TestFilesystem& filesystem) : path_(new_folder(filesystem)) {}
TestFolder::~TestFolder() { remove_folder(path_); }

View plain_view(const Dir& dir) {
  std::vector<OpenLayer> layers;
  layers.push_back({dir.clone(), nullptr});
  return View(std::move(layers), Marks::none);
}

std::string differences(const View& a, Marks marks_a, const View& b, Marks marks_b) {
  ViewDifferences found = compare_views({a, marks_a}, {b, marks_b}, true);
  std::string text;
  for (const std::string& one : found.first) text += one + "\n";
  if (found.count > found.first.size()) text += std::to_string(found.count) + " in all\n";
  return text;
}

const TestFilesystem& filesystem(const std::string& name) {
  const auto& all = test_filesystems();
  return *std::find_if(all.begin(), all.end(), [&](const TestFilesystem& f) { return f.name == name; });
}

}  // namespace drover::test
