#pragma once
#include <optional>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "migrate/archive/byte_stream.hpp"
#include "migrate/archive/import_conflicts.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/progress.hpp"

namespace drover {

struct ImportOptions {
  DriverKind to = DriverKind::overlay2;
  HomeSettings settings;
  std::string config_path;  ///< of the engine's configuration, for the record; nothing is written to it
  OnConflict on_conflict = OnConflict::refuse;
  unsigned threads = 1;
};

struct ImportResult {
  DriverKind to = DriverKind::overlay2;
  std::size_t images = 0, tags = 0, containers = 0;
  std::size_t new_layers = 0;     ///< image layers that were not there
  std::size_t shared_layers = 0;  ///< ... that were
  std::vector<std::string> notes;
};

/// Puts an archive into a data root, beside what is there: reads it to its end into a folder where no engine
/// looks, makes and proves the layers that are missing, then puts the records in their place. The engine's
/// lock must be held. Throws Error with the data root as it was; or, once records are being placed, with the
/// import open: resume_import and roll_back_import go on from there.
ImportResult import_archive(const DataRoot&, ByteSource&, const ImportOptions&, Progress&);

/// Goes on with one that was interrupted after it had read its archive.
ImportResult resume_import(const DataRoot&, MigrationFolder&, unsigned threads, Progress&);
/// Gives one up that was interrupted: the data root is as it was.
void roll_back_import(const DataRoot&, MigrationFolder&);

}  // namespace drover
