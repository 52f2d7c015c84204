#include "migrate/record_damage.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "migrate/read_through.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/survey.hpp"

namespace drover {

namespace {

class RecordReader {
 public:
  explicit RecordReader(const Inventory& inventory) : inventory_(inventory) {}

  /// Each entry of a folder is a part of this kind.
  void read_parts(const Dir& above, const std::string& folder, Part::Kind kind) {
    std::optional<Dir> dir = above.try_walk(folder);
    if (!dir) return;
    for (const DirEntry& entry : dir->list()) {
      Part part{kind, entry.name};
      if (kind == Part::Kind::container && !is_digest(entry.name)) part = {Part::Kind::build_cache, ""};
      std::map<Part, std::string> parts;
      if (part.id.empty() || is_digest(part.id)) parts.emplace(part, name_of(part));
      read(*dir, entry.name, std::move(parts));
    }
  }

  /// One entry, if it is there. No parts: without it nothing can go on.
  void read(const Dir& dir, const std::string& name, std::map<Part, std::string> parts,
            const std::string& fix = {}) {
    try {
      auto st = dir.try_stat(name);
      if (st && S_ISDIR(st->st_mode)) read_through(dir.sub(name));
      if (st && S_ISREG(st->st_mode)) read_through(dir, name);
    } catch (const Error& e) {
      if (!is_damage(e)) throw;
      problems_.push_back({e.what(), {}, true, fix, std::move(parts)});
    }
  }

  std::vector<StoreProblem> problems_;

 private:
  std::string name_of(const Part& part) const {
    auto image = inventory_.images.find(part.id);
    if (part.kind == Part::Kind::image && image != inventory_.images.end())
      return display_name(image->second);
    auto container = inventory_.containers.find(part.id);
    if (part.kind == Part::Kind::container && container != inventory_.containers.end())
      return display_name(container->second);
    return short_id(part.id);
  }

  const Inventory& inventory_;
};

}  // namespace

std::vector<StoreProblem> unprovable_layers(const Inventory& inventory) {
  std::vector<StoreProblem> problems;
  auto dependents = find_dependents(inventory);
  for (const auto& [chain, layer] : inventory.layers)
    if (!layer.has_tar_split)
      problems.push_back(
          {"layer " + short_id(chain) +
               " has no tar-split: nothing proves its content, and no engine can save or push it",
           dependents[layer.cache_id],
           true,
           {},
           {{{Part::Kind::layer, chain}, short_id(chain)}}});
  return problems;
}

std::vector<StoreProblem> unreadable_records(const Dir& data_root, const Inventory& inventory) {
  RecordReader reader(inventory);
  Dir records = data_root.sub(kImage).sub(driver_name(inventory.driver));
  reader.read_parts(records, "layerdb/sha256", Part::Kind::layer);
  reader.read_parts(records, "layerdb/mounts", Part::Kind::container);
  reader.read_parts(records, "imagedb/content/sha256", Part::Kind::image);
  reader.read_parts(records, "imagedb/metadata/sha256", Part::Kind::image);
  reader.read(records, "distribution", {},
              "move that folder elsewhere: an engine makes it anew, and only asks the registry more often");
  reader.read_parts(data_root, kContainers, Part::Kind::container);
  reader.read(data_root, kBuildRecords, {{{Part::Kind::build_cache, ""}, ""}});
  return std::move(reader.problems_);
}

}  // namespace drover
