#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "migrate/layer_renames.hpp"
#include "migrate/migrate.hpp"
#include "migrate/run_tasks.hpp"

namespace drover {

/// Carries all layers of a plan into the home that is being built; where the migration keeps going, all but
/// those that are damaged in the source and what needs them.
class LayerTransfer {
 public:
  /// All must outlive this. `found` loses what is left behind on the way; `result` gets the counts.
  LayerTransfer(const Dir& data_root, MigrationFolder& folder, Preflight& found, Driver& target,
                Progress& progress, MigrationResult& result)
      : data_root_(data_root),
        folder_(folder),
        found_(found),
        target_(target),
        progress_(progress),
        result_(result) {}

  /// Stages and proves them, `threads` layers at a time. What is finished is durable, and in the journal.
  void run(unsigned threads);

 private:
  std::vector<Task> tasks();
  void drop_unfinished();
  bool is_whole(const PlannedLayer&) const;
  void drop(const std::vector<LayerId>&);
  void make(const PlannedLayer&);
  void fill(const PlannedLayer&);
  void fill_renamed(const PlannedLayer&);
  void stage(const PlannedLayer&);
  void add(const TransferCount&);
  void prove(const PlannedLayer&);
  void prove_whole(const PlannedLayer&);
  void finish(const PlannedLayer&);
  bool attempt(const PlannedLayer&, const std::function<void()>& work);
  bool is_skipped(const PlannedLayer&);
  void leave_damaged();
  void count();
  void write_down(FinishedLayer, std::unique_lock<std::mutex>&);

  const Dir& data_root_;
  MigrationFolder& folder_;
  const LayerRenames renames_{folder_.dir()};
  Preflight& found_;
  Driver& target_;
  std::optional<LayerStager> stager_;
  Progress& progress_;
  MigrationResult& result_;
  std::set<LayerId> kept_;  ///< of an earlier run
  std::mutex mutex_;
  std::map<LayerId, LayerCheck> checks_;
  std::map<LayerId, std::string> damage_;
  std::set<LayerId> skipped_;
  std::vector<FinishedLayer> unwritten_;
  bool writing_ = false;
  std::size_t done_ = 0;
};

}  // namespace drover
