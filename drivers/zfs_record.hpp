#pragma once
#include <map>
#include <optional>
#include <string>

#include "drivers/driver.hpp"
#include "drivers/home_folder.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// Which filesystems a home of ours stands for while it is not the one that an engine uses: the file
/// `datasets.json` in it. A home without this file has all layers below its parent filesystem.
struct ZfsRecord {
  std::string parent;  ///< the engine's: "tank/docker"
  /// The filesystem below it that holds what is being built ("drover-5f3a9c01"); empty once all is settled.
  std::string work;
  /// The layers that lie below the parent itself and belong to this home, by ID: their GUIDs, so that a
  /// filesystem that has got such a name since is told from them.
  std::map<LayerId, std::string> layers;

  std::string work_name() const { return parent + "/" + work; }

  static constexpr const char* kFile = "datasets.json";
  /// Nothing if the home, or the file in it, does not exist. Throws Error if it is damaged.
  static std::optional<ZfsRecord> read(const HomeFolder& home);
  void write(const Dir& home) const;
  static void remove(const Dir& home);
};

/// A new name for ZfsRecord::work.
std::string new_zfs_work_name();

}  // namespace drover
