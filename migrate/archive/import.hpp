#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "migrate/archive/byte_stream.hpp"
#include "migrate/archive/import_conflicts.hpp"
#include "migrate/archive/import_record.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/progress.hpp"

namespace drover {

struct ImportOptions {
  DriverKind to = DriverKind::overlay2;
  HomeSettings settings;
  std::string config_path;  ///< of the engine's configuration, for the record; nothing is written to it
  OnConflict on_conflict = OnConflict::refuse;
  unsigned threads = 1;
  /// Asked once the archive is read and nothing is changed yet; false gives the import up. None: go on.
  std::function<bool(const ImportSummary&)> approve;
};

/// Puts an archive into a data root, beside what is there: reads it to its end into a folder where no engine
/// looks, makes and proves the layers that are missing, then puts the records in their place. The engine's
/// lock must be held. Nothing if that was not approved. Throws Error with the data root as it was; or, once
/// records are being placed, with the import open: resume_import and roll_back_import go on from there.
std::optional<ImportSummary> import_archive(const DataRoot&, ByteSource&, const ImportOptions&, Progress&);

/// Goes on with one that was interrupted after it had read its archive.
ImportSummary resume_import(const DataRoot&, MigrationFolder&, unsigned threads, Progress&);
/// Throws Error if one is past the point from which there is a way back.
void require_reversible(const MigrationFolder&);
/// Gives one up that was interrupted: the data root is as it was.
void roll_back_import(const DataRoot&, MigrationFolder&);

}  // namespace drover
