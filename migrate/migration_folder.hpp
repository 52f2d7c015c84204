#pragma once
#include <optional>
#include <string>
#include <vector>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/journal.hpp"
#include "migrate/migration_record.hpp"
#include "migrate/store.hpp"

namespace drover {

/// A migration as anyone may look at it.
struct OpenMigration {
  std::string id;
  MigrationRecord record;
  MigrationState state = MigrationState::staging;
  std::optional<LeftBehind> left = std::nullopt;  ///< of one that keeps going, if its record can be read
};

/// The migration that is open in a data root, if any; changes nothing and takes no lock. Throws Error if its
/// records are damaged.
std::optional<OpenMigration> find_open_migration(const Dir& data_root);

/// Throws Error (in_use) that says how far it is and what can be done now.
[[noreturn]] void refuse_open_migration(const OpenMigration&, const std::string& data_root);

constexpr const char* kDroverFolder = "drover";  ///< in a data root

/// `<data root>/drover/<id>/`, the one place where drover keeps anything:
///
///     plan.json        what it is about
///     journal          what was done
///     home/            the target's home while it is built
///     image/           the records for the target while they are made: image/<to>
///     containers/      the containers' folder of the new setup, unless that is in force
///     buildkit/        likewise: the build cache's records
///     renames/         of layers that are renamed instead of copied: which, and their marks
///     kept/            what was put aside: home, image, containers, buildkit, the engine's configuration
///
/// Of a migration into another data root it lies in the new root, and the old one has a folder of the same
/// name with a plan that says so and a journal of a word or two: a pointer, by which all of this finds it
/// from there. In it are `kept/` (the engine's configuration) and nothing else: what is staged is in its
/// place.
///
/// One drover at a time has it: the folder is locked (flock) as long as this lives.
class MigrationFolder {
 public:
  /// Begins one, in state staging, or reading for an import. Removes first what an ended one has left. Throws
  /// Error (in_use) if one is open. `data_root` is the old one.
  static MigrationFolder create(const Dir& data_root, const MigrationRecord&);
  /// The open one, or one that has ended but was not removed yet; nothing if there is none. Throws Error
  /// (in_use) if another drover is at work in it.
  static std::optional<MigrationFolder> find(const Dir& data_root);

  const std::string& id() const { return id_; }
  /// From now on this is about another configuration than the plan names: that of a copy of the data root.
  void use_config(const std::string& path) { record_.config_path = path; }
  const MigrationRecord& record() const { return record_; }
  const Dir& dir() const { return dir_; }
  Dir kept() const { return dir_.make_path("kept", 0700); }
  std::string home_path() const { return dir_.path() + "/home"; }
  std::string kept_home_path() const { return dir_.path() + "/kept/home"; }
  Journal& journal() { return journal_; }
  MigrationState state() const { return state_; }
  const std::set<LayerId>& finished_layers() const { return journal_content_.finished_layers; }
  const std::set<LayerId>& damaged_layers() const { return journal_content_.damaged_layers; }
  /// Writes it down; on disk when this returns.
  void set_state(MigrationState);
  /// Of a move: the same in the old root. `rolling_back` there means that the engine's configuration is the
  /// old one again, and that the new root's part may be gone.
  void mark_pointer(MigrationState);
  /// Journal::reserve(); of a move in the old root, too, as far as there is room: that disk may be the full
  /// one that is left.
  void reserve();
  /// Of a move: the old root's part is there.
  bool has_pointer() const { return pointer_.has_value(); }
  /// Of a move: the old root knows of it no more. Without one nothing is done.
  void remove_pointer();

  /// Removes all but the plan and the journal, homes by their drivers.
  void remove_content();
  /// The migration is over: says so in the journal, then removes the folder, and what was made to hold it if
  /// nothing else is in there.
  void end();

 private:
  void require_no_renamed_layers() const;
  static MigrationFolder create_in_new_root(const Dir& old_root, std::string id, MigrationRecord);
  MigrationFolder(const Dir& data_root, std::string id, Dir dir, MigrationRecord record)
      : root_(data_root.clone()),
        id_(std::move(id)),
        dir_(std::move(dir)),
        record_(std::move(record)),
        journal_(Journal::open(dir_)) {}
  Dir root_;  ///< that it is in
  std::string id_;
  Dir dir_;
  MigrationRecord record_;
  std::optional<Dir> pointer_;
  Journal journal_;
  MigrationState state_ = MigrationState::ended;
  JournalContent journal_content_;  ///< as it was found
};

}  // namespace drover
