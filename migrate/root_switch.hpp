#pragma once
#include <optional>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "drivers/sys/dir.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/switch_config.hpp"

namespace drover {

/// The last step of a move into another data root: the engine's configuration is replaced by one that names
/// the new root, by one rename. Before it an engine finds the old root and after it the new one, each whole.
class RootSwitch {
 public:
  /// The folder's record must have a move; the folder must outlive this.
  explicit RootSwitch(const MigrationFolder&);

  /// Keeps the old configuration, and what both roots are like now. To be called once all is staged and
  /// proven. `volumes` are those that have something in them.
  void prepare(const Dir& old_root, const Dir& new_root, const std::vector<std::string>& carried,
               const std::vector<std::string>& volumes = {});
  /// The configuration names the new root.
  bool is_done() const { return config_.names_data_root(); }
  /// prepare() was called.
  bool is_kept() const { return config_.is_kept(); }
  void forward() { config_.set_new(); }
  /// The configuration is what it was; where it was never kept it was not changed either.
  void backward();

  /// Names at the old root's top that were carried; none before prepare().
  std::vector<std::string> carried() const;
  /// Of the old root, as prepare() was told.
  std::vector<std::string> volumes() const;
  /// Whether all that is at the old root's top is as it was then: an engine that starts on it makes some of
  /// that anew. What was deleted since is no harm.
  bool old_root_has_nothing_new(const Dir& old_root) const;
  /// What of the old root's records and containers is lost, in words (lost_record). Nothing where an engine
  /// has started on it since, and may have removed things.
  std::optional<std::string> lost_in(const Dir& old_root) const;
  /// old_root_has_nothing_new() of the new root, where what was deleted since is something new.
  bool new_root_has_nothing_new(const Dir& new_root) const;

 private:
  Dir kept_;
  std::string from_;
  SwitchConfig config_;
};

/// The data root that a migration moves from; `found` is the one that led to it.
DataRoot root_of(const MigrationRecord&, const DataRoot& found);

/// The engine's lock of the other root of a move, while that of `locked_root` is held; nothing where there is
/// no other, or it is gone. Throws Error (in_use).
std::optional<EngineLock> lock_other_root(const MigrationRecord&, const std::string& locked_root);

}  // namespace drover
