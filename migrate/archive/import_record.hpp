#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "drivers/driver.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/store.hpp"

namespace drover {

/// An import in numbers and words: what it will do, and what it has done.
struct ImportSummary {
  std::size_t images = 0, tags = 0, containers = 0;
  std::size_t new_layers = 0;        ///< image layers that were not there
  std::size_t shared_layers = 0;     ///< ... that were
  std::vector<std::string> deletes;  ///< the containers that are replaced, by their names
  std::vector<std::string> notes;    ///< what the user should know, a line each
};

/// Everything that an import does to a data root, written down before the first of it (`import.json` in its
/// folder), so that it can be ended or taken back whenever it was cut.
struct ImportRecord {
  std::vector<LayerId> layers;       ///< that are made in the driver's home, parents before children
  std::map<Digest, LayerId> shared;  ///< that were there, by chain ID
  std::set<Digest> shared_images;    ///< that were there
  bool made_home = false;            ///< ... which was not there
  bool made_repositories = false;    ///< there was no repositories.json
  /// Renames, in this order: from a path in the folder to one in the data root.
  std::vector<std::pair<std::string, std::string>> moves;
  /// Renames, before those: of what is replaced, from the data root to the folder.
  std::vector<std::pair<std::string, std::string>> put_aside;
  std::vector<LayerId> replaced_layers;  ///< of replaced containers: removed at the end
  std::map<std::string, Digest> tags;    ///< that are set
  /// What they were; those that are not in here were not there. And what else named an image that comes in,
  /// while that was not there.
  std::map<std::string, Digest> old_tags;
  std::vector<std::string> made_dirs;  ///< folders of the data root that were not there, parents first
  /// Records that could not be read when the import began (unreadable_names()): whatever they are, they do
  /// not stand on what it brings.
  std::set<std::string> unreadable_before;
  ImportSummary summary;
};

/// As `drover import --format json` shows it, and import.json keeps it.
nlohmann::ordered_json import_summary_json(const ImportSummary&);

/// Writes it down; on disk when this returns.
void write_import_record(const Dir& folder, const ImportRecord&);
/// Reads it again. Throws Error if it is damaged or not there.
ImportRecord require_import_record(const Dir& folder);

}  // namespace drover
