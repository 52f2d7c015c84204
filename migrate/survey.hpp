#pragma once
#include <map>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "migrate/plan.hpp"
#include "migrate/store.hpp"

namespace drover {

/// What the layers of a store are like on disk, seen by reading every directory and every tar-split, but no
/// file's content.
struct Survey {
  std::map<LayerId, LayerFacts> facts;  ///< of every layer in the home that can be read
  std::vector<StoreProblem> problems;   ///< damage that the records alone do not show; all of it fatal
};

/// `data_root` holds the records that `inventory` was read from, `source` is the driver's home.
Survey survey_layers(const Dir& data_root, const Inventory& inventory, const Driver& source,
                     unsigned threads);

/// The images ("app:1") and containers that stand on each layer, by cache ID, mount ID or init ID.
std::map<LayerId, std::vector<std::string>> find_dependents(const Inventory&);

/// Disk space of everything below a folder, each inode once, and how many inodes.
LayerFacts measure_tree(const Dir&);

}  // namespace drover
