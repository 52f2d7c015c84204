#include "migrate/stage_root.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "drivers/attributes.hpp"
#include "drivers/clone_tree.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/compare_views.hpp"
#include "migrate/left_out.hpp"
#include "migrate/read_through.hpp"
#include "migrate/root_paths.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/survey.hpp"
#include "migrate/target_root.hpp"

namespace drover {

namespace {

constexpr const char* kPlugins = "plugins";
constexpr const char *kContainerFile = "config.v2.json", *kPluginFile = "config.json";

/// A file whose text is to be another one in the new root.
struct RewrittenFile {
  std::string folder, id, name;
  std::string path() const { return folder + "/" + id + "/" + name; }
};

std::vector<RewrittenFile> rewritten_files(const Dir& old_root, const Inventory& inventory) {
  std::vector<RewrittenFile> files;
  for (const auto& [id, container] : inventory.containers) files.push_back({kContainers, id, kContainerFile});
  if (auto plugins = old_root.try_sub(kPlugins))
    for (const DirEntry& entry : plugins->list())
      if (auto dir = is_digest(entry.name) ? plugins->try_sub(entry.name) : std::nullopt)
        if (auto st = dir->try_stat(kPluginFile); st && S_ISREG(st->st_mode))
          files.push_back({kPlugins, entry.name, kPluginFile});
  return files;
}

std::string new_text(const RewrittenFile& file, const std::string& text, const MigrationRecord& record) {
  const RootMove& move = *record.move;
  return with_context("`" + move.from_root + "/" + file.path() + "`", [&] {
    if (file.folder == kPlugins) return moved_plugin_config(text, move.from_root, move.to_root);
    return moved_container_config(config_for_driver(text, record.to), move.from_root, move.to_root);
  });
}

/// A rewritten file is one of its own: no other name of the old one's is to change with it.
void rewrite(const RewrittenFile& file, const Dir& new_root, const MigrationRecord& record) {
  Dir dir = new_root.sub(file.folder).sub(file.id);
  std::string text = dir.read(file.name), changed = new_text(file, text, record);
  if (changed == text) return;
  struct stat st = dir.stat(file.name), above = dir.stat();
  std::vector<Xattr> xattrs = dir.xattrs(file.name), xattrs_above = dir.xattrs("");
  dir.unlink(file.name);
  dir.write_new(file.name, changed, 0600);
  set_attributes(dir, file.name, st, xattrs, false);
  set_attributes(dir, "", above, xattrs_above, false);
}

[[noreturn]] void rest_differs(const std::string& what) {
  throw Error(ExitCode::proof_failed, "the copy of the data root is not what it was: " + what,
              "the old root is untouched; `drover rollback` removes the copy");
}

void require_alike(const Dir& a, const Dir& b, const std::function<bool(const std::string&)>& leave_out) {
  View before = folder_view(a), after = folder_view(b);
  ViewDifferences found = compare_views({before, Marks::none}, {after, Marks::none}, true, leave_out);
  if (!found.none()) rest_differs(found.first.front() + " in `" + b.path() + "`");
}

void require_rewritten(const RewrittenFile& file, const Dir& old_root, const MigrationRecord& record,
                       const Dir& new_root) {
  Dir a = old_root.sub(file.folder).sub(file.id), b = new_root.sub(file.folder).sub(file.id);
  std::string place = "`" + b.path_of(file.name) + "`";
  if (b.read(file.name) != new_text(file, a.read(file.name), record)) rest_differs(place);
  struct stat old_file = a.stat(file.name), new_file = b.stat(file.name);
  new_file.st_size = old_file.st_size;
  auto own = [](const Dir& dir, const std::string& name) {
    return content_xattrs(dir, name, Marks::none, Marks::none);
  };
  if (!same_attributes(old_file, new_file) || own(a, file.name) != own(b, file.name))
    rest_differs("the attributes of " + place);
}

void add(LayerFacts& sum, const LayerFacts& more) {
  sum.bytes += more.bytes;
  sum.entries += more.entries;
  sum.directories += more.directories;
  sum.protected_entries += more.protected_entries;
}

/// At the root's top, and in containers/: what the inventory leaves behind.
std::set<std::string> left_behind_in_root(const LeftBehind& left) {
  std::set<std::string> paths;
  for (const std::string& id : left_out_of_containers(left))
    paths.insert(std::string(kContainers) + "/" + id);
  if (left.contains({Part::Kind::build_cache, ""})) paths.insert(kBuildRecords);
  return paths;
}

/// As a condition, besides what no move carries.
std::function<bool(const std::string&)> left_out_of_copy(const Inventory& inventory) {
  return [no_move = left_out_of_move(inventory), left = left_behind_in_root(inventory.left)](
             const std::string& path) { return no_move(path) || left.contains(path); };
}

/// What of other drivers' stays behind.
void note_left(const Dir& old_root, const Inventory& inventory, RootRest& rest) {
  for (const DriverEntry& driver : driver_table()) {
    if (driver.kind == inventory.driver) continue;
    std::string name(driver.name);
    auto home = old_root.try_sub(name);
    auto image = old_root.try_sub(kImage);
    bool records = image && image->exists(name);
    if ((home && !home->list().empty()) || records)
      rest.left.push_back("the store of " + name + ", which is not in use");
  }
  for (const ContainerRecord& container : inventory.foreign_containers)
    rest.left.push_back("container " + display_name(container) + ", which is one of " +
                        printable(container.driver));
}

}  // namespace

std::function<bool(const std::string& path)> left_out_of_move(const Inventory& inventory) {
  std::set<std::string> foreign;
  for (const ContainerRecord& container : inventory.foreign_containers)
    foreign.insert(std::string(kContainers) + "/" + container.id);
  return [foreign](const std::string& path) {
    std::size_t cut = path.find('/');
    if (cut == std::string::npos) return find_driver(path) || is_drovers(path) || is_engine_scratch(path);
    if (path.compare(0, cut, kImage) == 0) return find_driver(path.substr(cut + 1)) != nullptr;
    return foreign.contains(path);
  };
}

RootRest survey_rest(const Dir& old_root, const Inventory& inventory) {
  constexpr std::uint64_t kBlock = 512;  // the unit of st_blocks
  RootRest rest;
  auto left_out = left_out_of_copy(inventory);
  for (const DirEntry& entry : old_root.list()) {
    if (left_out(entry.name)) continue;
    rest.names.push_back(entry.name);
    if (!is_engine_name(entry.name)) rest.foreign.push_back(entry.name);
    struct stat st = old_root.stat(entry.name);
    if (S_ISLNK(st.st_mode)) {
      Symlink link{old_root.path_of(entry.name)};
      throw Error("`" + link.path + "` is a symlink, and what it leads to would not be moved", link.fix());
    }
    ++rest.facts.entries;
    rest.facts.bytes += static_cast<std::uint64_t>(st.st_blocks) * kBlock;
    if (!S_ISDIR(st.st_mode)) continue;
    ++rest.facts.directories;
    Dir dir = old_root.sub(entry.name);
    if (entry.name != kImage)
      add(rest.facts, measure_tree(dir, nullptr, [&](const std::string& path) {
            return left_out(entry.name + "/" + path);
          }));
    if (entry.name != kVolumes) continue;
    for (const DirEntry& volume : dir.list()) rest.volumes += dir.try_sub(volume.name) ? 1 : 0;
  }
  Dir records = old_root.sub(kImage).sub(driver_name(inventory.driver));
  add(rest.facts,
      measure_tree(records, nullptr, [left = left_out_of_image(records, inventory)](const std::string& path) {
        return left.contains(path);
      }));
  std::sort(rest.names.begin(), rest.names.end());
  std::sort(rest.foreign.begin(), rest.foreign.end());
  note_left(old_root, inventory, rest);
  return rest;
}

RootEntries entries_of(const Dir& new_root, const std::vector<std::string>& carried) {
  RootEntries entries;
  for (const DirEntry& entry : new_root.list()) {
    if (is_drovers(entry.name)) continue;
    bool ours =
        is_engine_name(entry.name) || std::find(carried.begin(), carried.end(), entry.name) != carried.end();
    (ours ? entries.ours : entries.foreign).push_back(entry.name);
  }
  std::sort(entries.foreign.begin(), entries.foreign.end());
  return entries;
}

TransferCount stage_rest(const Dir& old_root, const Inventory& inventory, const MigrationRecord& record,
                         const Dir& new_root) {
  std::vector<std::string> carried;
  for (const DirEntry& entry : old_root.list()) carried.push_back(entry.name);
  RootEntries there = entries_of(new_root, carried);
  if (!there.foreign.empty())
    throw Error("in `" + new_root.path() +
                    "` there is what the migration has not put there: " + some_names(there.foreign),
                "move it elsewhere, then go on");
  for (const std::string& name : there.ours)
    if (name != driver_name(record.to)) new_root.remove_tree(name);
  // One that an earlier run has given it.
  if (new_root.xattr("", kDefaultAcl)) new_root.remove_xattr("", kDefaultAcl);
  TransferCount count = clone_tree(old_root, new_root, false, left_out_of_copy(inventory));
  Dir image = new_root.sub(kImage);
  struct stat above = image.stat();
  std::vector<Xattr> xattrs = image.xattrs("");
  std::string to(driver_name(record.to));
  image.make_dir(to, 0700);
  drop_acls(image.sub(to));
  Dir records = old_root.sub(kImage).sub(driver_name(record.from));
  count += clone_tree(records, image.sub(to), false,
                      [left = left_out_of_image(records, inventory)](const std::string& path) {
                        return left.contains(path);
                      });
  drop_left_tags(records, image.sub(to), inventory.left);
  set_attributes(image, "", above, xattrs, false);
  for (const RewrittenFile& file : rewritten_files(old_root, inventory)) rewrite(file, new_root, record);
  return count;
}

void prove_rest(const Dir& old_root, const Inventory& inventory, const MigrationRecord& record,
                const Dir& new_root) {
  std::vector<RewrittenFile> files = rewritten_files(old_root, inventory);
  std::set<std::string> rewritten;
  for (const RewrittenFile& file : files) rewritten.insert(file.path());
  require_left_out(new_root, left_behind_in_root(inventory.left));
  auto left_out = left_out_of_copy(inventory);
  // The root's own time is that of its last entry, the old one's too: drover's folder is in both.
  require_alike(old_root, new_root, [&](const std::string& path) {
    return path.empty() || left_out(path) || rewritten.contains(path);
  });
  struct stat a = old_root.stat(), b = new_root.stat();
  b.st_mtim = a.st_mtim;
  // What the new root's own filesystem has put on it may be there besides.
  std::vector<Xattr> old_xattrs = content_xattrs(old_root, "", Marks::none, Marks::none),
                     new_xattrs = content_xattrs(new_root, "", Marks::none, Marks::none);
  if (!same_attributes(a, b) ||
      !std::includes(new_xattrs.begin(), new_xattrs.end(), old_xattrs.begin(), old_xattrs.end()))
    rest_differs("the attributes of `" + new_root.path() + "`");
  Dir records = old_root.sub(kImage).sub(driver_name(record.from)),
      copy = new_root.sub(kImage).sub(driver_name(record.to));
  std::set<std::string> left = left_out_of_image(records, inventory);
  require_left_out(copy, left);
  if (has_left_tags(records, inventory.left)) {
    require_left_tags_dropped(records, copy, inventory.left);
    left.insert(kRepositories);
  }
  require_alike(records, copy, [&](const std::string& path) { return left.contains(path); });
  for (const RewrittenFile& file : files) require_rewritten(file, old_root, record, new_root);
}

}  // namespace drover
