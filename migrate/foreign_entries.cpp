#include "migrate/foreign_entries.hpp"

#include <dirent.h>

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "migrate/target_root.hpp"

namespace drover {

namespace {

// What an engine makes in image/<driver> (moby image/fs.go, layer/filestore.go, distribution/metadata); what
// is below these is its own.
constexpr std::string_view kRecordNames[] = {
    "distribution",     "distribution/*",     "imagedb",     "imagedb/content", "imagedb/content/*",
    "imagedb/metadata", "imagedb/metadata/*", "layerdb",     "layerdb/mounts",  "layerdb/mounts/*",
    "layerdb/sha256",   "layerdb/sha256/*",   "layerdb/tmp", "layerdb/tmp/*",   "repositories.json"};

/// A layer's own, or what is left of one: aufs renames it before it removes it (moby aufs.go, Remove).
bool is_of_layer(std::string_view name) {
  constexpr std::string_view kRemoved = "-removing";
  if (name.ends_with(kRemoved)) name.remove_suffix(kRemoved.size());
  return is_layer_id(name);
}

/// Looks into those folders only whose paths are known by themselves ("l"), not into what a pattern names.
class ForeignSearch {
 public:
  ForeignSearch(std::vector<std::string_view> known, bool has_layers)
      : known_(std::move(known)), has_layers_(has_layers) {}

  std::vector<std::string> run(const Dir& dir) {
    look_into(dir, "");
    std::sort(found_.begin(), found_.end());
    return std::move(found_);
  }

 private:
  bool is_known(const std::string& path) const {
    return std::find(known_.begin(), known_.end(), path) != known_.end();
  }
  bool is_matched(const std::string& path) const {
    return std::any_of(known_.begin(), known_.end(), [&](std::string_view pattern) {
      return pattern.ends_with('*') && path.starts_with(pattern.substr(0, pattern.size() - 1));
    });
  }

  /// Whether it is a folder that something is known of.
  bool holds_known(const std::string& path) const {
    return std::any_of(known_.begin(), known_.end(),
                       [&](std::string_view name) { return name.starts_with(path + "/"); });
  }
  /// An engine makes no symlink under any name that is known by itself or as a layer's.
  static bool is_symlink(const Dir& dir, const DirEntry& entry) {
    if (entry.type != DT_UNKNOWN) return entry.type == DT_LNK;
    auto st = dir.try_stat(entry.name);
    return st && S_ISLNK(st->st_mode);
  }

  void look_into(const Dir& dir, const std::string& prefix) {
    if (is_known(prefix + "*")) return;
    const bool holds_layers = has_layers_ && is_known(prefix + "#");
    for (const DirEntry& entry : dir.list()) {
      const std::string path = prefix + entry.name;
      if (is_matched(path) || Dir::is_unfinished(entry.name)) continue;
      const bool layer = holds_layers && is_of_layer(entry.name), known = is_known(path);
      if (layer && !is_symlink(dir, entry)) continue;
      if (auto below = known ? dir.try_sub(entry.name) : std::nullopt)
        look_into(*below, path + "/");
      else if (!known || holds_known(path) || is_symlink(dir, entry))
        found_.push_back(dir.path_of(entry.name));
    }
  }

  std::vector<std::string_view> known_;
  bool has_layers_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> foreign_in_home(const Dir& home, const Driver& driver) {
  auto known = driver.furniture(), own = driver.own_files();
  known.insert(known.end(), own.begin(), own.end());
  return ForeignSearch(std::move(known), true).run(home);
}

std::vector<std::string> foreign_in_empty_home(const Dir& home, const Driver& driver) {
  return ForeignSearch(driver.furniture(), false).run(home);
}

std::vector<std::string> foreign_in_records(const Dir& records) {
  return ForeignSearch({std::begin(kRecordNames), std::end(kRecordNames)}, false).run(records);
}

void require_no_foreign(const Dir& home, const Driver& driver) {
  auto foreign = foreign_in_home(home, driver);
  if (foreign.empty()) return;
  throw Error("no engine has made this, so it was not carried, and it would be deleted with the old data: " +
                  some_names(foreign),
              "move it elsewhere, or delete it yourself, then: drover commit");
}

}  // namespace drover
