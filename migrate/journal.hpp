#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// How far a migration is.
enum class MigrationState {
  reading,       ///< of an import: its archive is being read, nothing else is changed: only `rollback`
  staging,       ///< the copy is being made; the engine's setup is untouched
  switching,     ///< the copy is proven and is being put in place: `migrate --resume` or `rollback` goes on
  switched,      ///< the new setup is in place, the old one is put aside: `commit` or `rollback`
  rolling_back,  ///< the old setup is being restored: only `rollback` goes on
  committing,    ///< the old setup is being deleted: only `commit` goes on
  ended,         ///< what is left of the folder is of no use
};
std::string_view state_name(MigrationState);

struct FinishedLayer {
  LayerId id;
  bool damaged_before = false;  ///< not what its diff ID says, but the source is not either
};

/// What a journal says after it was read.
struct JournalContent {
  std::optional<MigrationState> state;  ///< none: not even begun
  std::set<LayerId> finished_layers;    ///< staged, proven and durable
  std::set<LayerId> damaged_layers;     ///< those of them that were damaged in the source already
};

/// `<data root>/drover/<id>/journal`: what was done, one JSON object a line, each on disk before the next
/// step is taken.
class Journal {
 public:
  /// Opens it for appending; `folder` is the migration's. A torn last line (a cut while it was written) is
  /// cut off.
  static Journal open(const Dir& folder);
  /// Reads it. Throws Error if a line that is complete makes no sense.
  static JournalContent read(const Dir& folder);

  /// Takes room on the disk for the lines of a switch and of a way back, so that neither ends half-way where
  /// the disk is full by then. Throws SystemError if there is none; a filesystem that cannot reserve any goes
  /// without.
  void reserve();
  /// May be called by several threads. Returns once the line is durable.
  void layers_finished(const std::vector<FinishedLayer>&);
  /// These are about to be removed: what was said of them before holds no more.
  void layers_dropped(const std::vector<LayerId>&);
  void state(MigrationState);
  /// For a person who reads it: what was done within a state.
  void step(const std::string& name);

 private:
  explicit Journal(Fd fd) : fd_(std::move(fd)), mutex_(std::make_unique<std::mutex>()) {}
  void append(const std::string& lines);
  Fd fd_;
  std::unique_ptr<std::mutex> mutex_;
};

}  // namespace drover
