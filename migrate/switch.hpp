#pragma once
#include <memory>
#include <optional>
#include <string>

#include "drivers/sys/dir.hpp"
#include "migrate/layer_renames.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/switch_config.hpp"

namespace drover {

/// Puts what was staged in the place of what the engine uses now, and back. A handful of renames in a fixed
/// order; each step looks at the disk for whether it was done already, so that after a crash the same call
/// goes on where it was cut. From the first step that an engine could stumble over to the last, the engine's
/// configuration is on hold.
///
/// Forward: hold · layers that are renamed go into the new home · the records into place · the home into
/// place · the twins of `containers/` and `buildkit/` into place · the new configuration · the old home and
/// records put aside. Backward: the same in reverse. A driver whose layers lie outside of its home gives them
/// the engine's names before the home goes into place, and writes down which are its own when the home is out
/// of it.
class Switch {
 public:
  /// Both must outlive this.
  Switch(const Dir& data_root, MigrationFolder& folder);

  /// Writes down what the steps below go by. Nothing that an engine looks at is changed. To be called once,
  /// while everything is staged and nothing is switched.
  void prepare();
  /// Nothing is switched yet, and no engine was kept from starting: one may have run on the old setup since.
  bool is_untouched() const;
  /// How far the disk says the switch is, whatever the journal does (which may be of another moment, in a
  /// copy of the data root, or cut short by a repair): staging, switching or switched.
  MigrationState state_on_disk() const;
  /// Throws Error if an engine may have run on the old setup while the new one was being put in place: the
  /// hold is gone, and it was not the switch that took it away.
  void require_way_forward() const;
  void forward();
  void backward();
  /// Before backward(), while nothing of it is done: reads what it will go by in renamed layers, where an
  /// engine may have written to them. Throws Error where one cannot go back as it is.
  void look_back();
  /// Throws Error if something stands where backward() will put the old setup. backward() asks, too.
  void require_way_back() const;

 private:
  void keep_containers_made_meanwhile();
  void put_in_place(const Dir& from, const std::string& name, const Dir& to, const std::string& as,
                    const std::string& previous);
  void take_back(const Dir& from, const std::string& name, const Dir& to, const std::string& as,
                 const std::string& previous);
  void put_aside(const Dir& from, const std::string& name, const std::string& as);
  void restore(const std::string& kept, const Dir& to, const std::string& name);
  std::unique_ptr<Driver> target_at(const std::string& home) const;
  std::unique_ptr<Driver> source_at(const std::string& home) const;
  bool is_all_new() const;
  Dir new_records() const;
  std::unique_ptr<Driver> target_anywhere() const;
  std::unique_ptr<Driver> source_anywhere() const;
  void settle_target();
  void claim_layers(Driver& home);
  void require_old_whole() const;
  std::set<LayerId> removed_with_engine() const;
  void require_renamed_there() const;
  void require_records_put_here(const std::set<LayerId>& lost) const;
  void require_free(const Dir& in, const std::string& name, const std::string& kept) const;
  void step(const std::string& what);

  const Dir& root_;
  MigrationFolder& folder_;
  Dir image_, kept_;
  std::string from_, to_;
  SwitchConfig config_;
  LayerRenames renames_;
};

}  // namespace drover
