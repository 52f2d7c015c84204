#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "drivers/driver.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/store.hpp"

namespace drover {

/// Everything that an import does to a data root, written down before the first of it (`import.json` in its
/// folder), so that it can be ended or taken back whenever it was cut.
struct ImportRecord {
  std::vector<LayerId> layers;     ///< that are made in the driver's home, parents before children
  bool made_home = false;          ///< ... which was not there
  bool made_repositories = false;  ///< there was no repositories.json
  /// Renames, in this order: from a path in the folder to one in the data root.
  std::vector<std::pair<std::string, std::string>> moves;
  /// Renames, before those: of what is replaced, from the data root to the folder.
  std::vector<std::pair<std::string, std::string>> put_aside;
  std::vector<LayerId> replaced_layers;    ///< of replaced containers: removed at the end
  std::map<std::string, Digest> tags;      ///< that are set
  std::map<std::string, Digest> old_tags;  ///< what they were; those that are not in here were not there
  std::vector<std::string> made_dirs;      ///< folders of the data root that were not there, parents first
};

/// Writes it down; on disk when this returns.
void write_import_record(const Dir& folder, const ImportRecord&);
/// Nothing if there is none: nothing of the data root was changed yet. Throws Error if it is damaged.
std::optional<ImportRecord> read_import_record(const Dir& folder);

}  // namespace drover
