#pragma once
#include "detect/data_root.hpp"
#include "migrate/archive/import_record.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/store.hpp"

namespace drover {

/// The home in use, while layers are added to it.
class LiveHome {
 public:
  LiveHome(const DataRoot&, const MigrationRecord&);
  Driver& driver() { return *driver_; }
  /// Makes it ready for the record's layers beside those of these records; makes the home where there is
  /// none.
  void open_for_layers(const Inventory& there, const ImportRecord&);
  /// All new layers are there: an engine will find them.
  void finish_layers();
  /// Takes them, and the home if it was made for them, away again.
  void take_back(const ImportRecord&);

 private:
  std::unique_ptr<Driver> driver_;
};

/// Throws Error if a name that a container is to have, or its ID, was taken since the plan was made.
/// `incoming`: what was received, as far as it is not placed yet.
void require_names_free(const Dir& data_root, const MigrationFolder&, const ImportRecord&,
                        const Dir& incoming);

/// Throws Error if there is something in the place of an image's or a layer's record that is to come, and an
/// engine could not use it: an image and a layer are the same wherever their IDs are, if they are sound.
/// `home` is the one in use.
void require_places_sound(const Dir& data_root, const MigrationFolder&, const ImportRecord&,
                          const Driver& home);

/// What repositories.json of these records names, whether it is there or not.
std::map<std::string, Digest> tags_in(const Dir& records);

/// Puts the records of what was imported in their place and sets the tags. Idempotent: goes on where it was
/// cut. What is in the place of one must be sound: see above. A tag that was set to something else since
/// stays that, and the record's summary says so.
void place_import(const Dir& data_root, const MigrationFolder&, ImportRecord&);
/// Removes the layers of containers that were replaced.
void remove_replaced(LiveHome&, const ImportRecord&);
/// Whether one of the record's renames was done: what is to move is not in the folder any more.
bool was_moved(const Dir& data_root, const Dir& folder, const std::pair<std::string, std::string>& move);
/// The reverse of place_import, whatever of it was done; idempotent.
void take_back_import(const Dir& data_root, const MigrationFolder&, const ImportRecord&);

}  // namespace drover
