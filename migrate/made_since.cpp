#include "migrate/made_since.hpp"

#include <algorithm>
#include <iterator>

#include "migrate/stage_records.hpp"
#include "migrate/stage_root.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

/// The old setup, wherever it is now.
struct Before {
  store::ContainerDb containers;
  store::ImageDb images;
};

Before read_before(const std::optional<Dir>& with_containers, const std::optional<Dir>& records) {
  Before before;
  if (with_containers) before.containers = store::read_containers(*with_containers);
  if (records) before.images = store::read_imagedb(*records);
  return before;
}

bool had_container(const Before& before, const std::string& id) {
  return before.containers.containers.contains(id) || before.containers.damaged.contains(id);
}

bool had_image(const Before& before, const Digest& id) {
  return before.images.images.contains(id) || before.images.damaged_images.contains(id);
}

std::vector<std::string> new_tags(const Before& before, const ImageRecord& image) {
  std::vector<std::string> tags;
  auto old = before.images.references.find(image.id);
  for (const std::string& reference : image.references) {
    bool is_digest = reference.find('@') != std::string::npos;
    bool known = old != before.images.references.end() &&
                 std::find(old->second.begin(), old->second.end(), reference) != old->second.end();
    if (!is_digest && !known) tags.push_back(reference);
  }
  return tags;
}

MadeSince made_since(const Before& before, const Inventory& now) {
  MadeSince made;
  for (const auto& [id, container] : now.containers)
    if (!had_container(before, id)) made.containers.push_back(display_name(container));
  for (const auto& [id, image] : now.images) {
    if (!had_image(before, id)) {
      made.images.push_back(display_name(image));
      continue;
    }
    for (std::string& tag : new_tags(before, image)) made.tags.push_back(std::move(tag));
  }
  return made;
}

std::vector<std::string> removed_since(const Before& before, const Inventory& now) {
  std::vector<std::string> removed;
  for (const auto& [id, entry] : before.containers.containers)
    if (!now.containers.contains(id) && find_driver(entry.record.driver))
      removed.push_back("container " + display_name(entry.record));
  for (const auto& [id, image] : before.images.images)
    if (!now.images.contains(id)) removed.push_back("image " + display_name(image));
  return removed;
}

std::vector<std::string> volumes_in(const Dir& root) {
  std::vector<std::string> names;
  if (auto volumes = root.try_sub(kVolumes))
    for (const DirEntry& entry : volumes->list())
      if (volumes->try_sub(entry.name)) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

MadeSince made_in_new_root(const MigrationRecord& record) {
  auto old_root = open_old_root(*record.move), new_root = Dir::try_open(record.move->to_root);
  if (!old_root || !new_root) return {};
  auto image = old_root->try_sub(kImage);
  Before before =
      read_before(old_root, image ? image->try_sub(std::string(driver_name(record.from))) : std::nullopt);
  MadeSince made = made_since(before, read_inventory(*new_root, record.to, nullptr));
  made.volumes = volumes_only_in(*new_root, *old_root);
  return made;
}

}  // namespace

MadeSince made_since_switch(const DataRoot& root, const MigrationFolder& folder) {
  const MigrationRecord& record = folder.record();
  if (folder.state() != MigrationState::switched) return {};
  if (record.move) return made_in_new_root(record);
  auto kept = folder.dir().try_sub("kept");
  Before before = read_before(kept, kept ? kept->try_sub(kImage) : std::nullopt);
  Inventory now = read_inventory(Dir::open(root.path), record.to, nullptr);
  MadeSince made = made_since(before, now);
  if (record.renames) made.removed = removed_since(before, now);
  return made;
}

std::vector<std::string> volumes_only_in(const Dir& a, const Dir& b) {
  std::vector<std::string> of_a = volumes_in(a), of_b = volumes_in(b), left;
  std::set_difference(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(), std::back_inserter(left));
  return left;
}

}  // namespace drover
