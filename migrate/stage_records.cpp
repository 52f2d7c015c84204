#include "migrate/stage_records.hpp"

#include <set>
#include <vector>

#include "detect/json_edit.hpp"
#include "drivers/attributes.hpp"
#include "drivers/clone_tree.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/compare_views.hpp"
#include "migrate/left_out.hpp"
#include "migrate/read_through.hpp"
#include "migrate/require_written.hpp"

namespace drover {

namespace {

constexpr const char* kConfig = "config.v2.json";

Dir source_records(const Dir& data_root, DriverKind driver) {
  return data_root.sub(kImage).sub(driver_name(driver));
}

/// A fresh copy of a folder, under this name.
void copy_folder(const Dir& from, const Dir& to, const char* name,
                 const std::set<std::string>& left_out = {}) {
  to.remove_tree(name);
  to.make_dir(name, 0700);
  clone_tree(from, to.sub(name), false, [&](const std::string& path) { return left_out.contains(path); });
}

void set_driver(const Dir& container, DriverKind to) {
  struct stat folder = container.stat(), file = container.stat(kConfig);
  std::vector<Xattr> xattrs = container.xattrs(kConfig), folder_xattrs = container.xattrs("");
  std::string text = config_for_driver(container.read(kConfig), to);
  container.unlink(kConfig);
  container.write_new(kConfig, text, 0600);
  set_attributes(container, kConfig, file, xattrs, true);
  set_attributes(container, "", folder, folder_xattrs, false);
}

[[noreturn]] void differs(const std::string& what) {
  throw Error(ExitCode::proof_failed, "the copy of Docker's records is not what it was: " + what,
              "the source is untouched; `drover rollback` removes the copy");
}

void compare_folders(const Dir& from, const Dir& to, const std::set<std::string>& left_out = {}) {
  View before = folder_view(from), after = folder_view(to);
  ViewDifferences differences =
      compare_views({before, Marks::none}, {after, Marks::none}, true,
                    [&](const std::string& path) { return left_out.contains(path); });
  if (!differences.none()) differs(differences.first.front());
}

/// That of a container's copy is its own, but for the driver.
void require_config_of(const Dir& before, const Dir& after, DriverKind to) {
  std::string path = "`" + after.path_of(kConfig) + "`";
  if (after.try_read(kConfig) != config_for_driver(before.read(kConfig), to)) differs(path);
  struct stat old_file = before.stat(kConfig), new_file = after.stat(kConfig);
  new_file.st_size = old_file.st_size;
  if (!same_attributes(old_file, new_file) || before.xattrs(kConfig) != after.xattrs(kConfig))
    differs("the attributes of " + path);
}

std::optional<Dir> build_records_to_carry(const Dir& data_root, const Inventory& inventory) {
  if (inventory.left.contains({Part::Kind::build_cache, ""})) return std::nullopt;
  return data_root.try_sub(kBuildRecords);
}

}  // namespace

std::string config_for_driver(const std::string& text, DriverKind kind) {
  return json_set(text, "Driver", json_quote(driver_name(kind)));
}

void stage_records(const Dir& data_root, const Inventory& inventory, DriverKind to, const Dir& folder) {
  Dir records = source_records(data_root, inventory.driver);
  copy_folder(records, folder, kImage, left_out_of_image(records, inventory));
  drop_left_tags(records, folder.sub(kImage), inventory.left);
  copy_folder(data_root.make_path(kContainers, 0710), folder, kContainers,
              left_out_of_containers(inventory.left));
  Dir containers = folder.sub(kContainers);
  for (const auto& [id, record] : inventory.containers)
    with_context("container " + display_name(record), [&, &id = id] { set_driver(containers.sub(id), to); });
  for (const char* name : {kImage, kContainers}) require_written(folder.sub(name));
}

void stage_build_records(const Dir& data_root, const Inventory& inventory, const Dir& folder) {
  auto there = build_records_to_carry(data_root, inventory);
  if (there) {
    copy_folder(*there, folder, kBuildRecords);
    return require_written(folder.sub(kBuildRecords));
  }
  // In place of none as well, so that what an engine makes there under either setup is told from the other's.
  folder.remove_tree(kBuildRecords);
  folder.make_dir(kBuildRecords, 0711);
}

void prove_build_records(const Dir& data_root, const Inventory& inventory, const Dir& folder) {
  Dir copy = folder.sub(kBuildRecords);
  if (auto there = build_records_to_carry(data_root, inventory))
    compare_folders(*there, copy);
  else if (!copy.list().empty())
    differs("`" + copy.path() + "`");
}

void prove_records(const Dir& data_root, const Inventory& inventory, DriverKind to, const Dir& folder) {
  Dir records = source_records(data_root, inventory.driver);
  std::set<std::string> left_out = left_out_of_image(records, inventory);
  require_left_out(folder.sub(kImage), left_out);
  if (has_left_tags(records, inventory.left)) {
    require_left_tags_dropped(records, folder.sub(kImage), inventory.left);
    left_out.insert(kRepositories);
  }
  compare_folders(records, folder.sub(kImage), left_out);
  std::set<std::string> containers_left = left_out_of_containers(inventory.left);
  Dir before = data_root.sub(kContainers), after = folder.sub(kContainers);
  require_left_out(after, containers_left);
  // Of each container one file is to differ, in one word.
  for (const auto& [id, record] : inventory.containers) containers_left.insert(id + "/" + kConfig);
  compare_folders(before, after, containers_left);
  for (const auto& [id, record] : inventory.containers) require_config_of(before.sub(id), after.sub(id), to);
}

}  // namespace drover
