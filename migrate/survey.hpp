#pragma once
#include <sys/stat.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
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
/// `renamed_to`: the marks of the driver into whose home the layers are to be renamed, if they are; the same
/// pass then finds out which of them can be.
Survey survey_layers(const Dir& data_root, const Inventory& inventory, const Driver& source, unsigned threads,
                     std::optional<Marks> renamed_to = std::nullopt);

/// The images ("app:1") and containers that stand on each layer, by cache ID, mount ID or init ID; the first
/// of them, as in StoreProblem.
std::map<LayerId, std::vector<std::string>> find_dependents(const Inventory&);

/// Looks on while a tree is measured.
class TreeVisitor {
 public:
  virtual ~TreeVisitor() = default;
  /// A directory and all its entries, before these; the first is the tree's root, and has no name.
  virtual void enter(std::string_view name, const Dir&, const std::vector<DirEntry>&) = 0;
  /// One of them. Of a file with several names each.
  virtual void entry(const Dir&, const std::string& name, const struct statx&) = 0;
  /// All of the directory that was entered last and not left yet was looked at.
  virtual void leave() = 0;
};

/// Disk space of everything below a folder, each inode once, and how many inodes. What `leave_out` says yes
/// to (paths from the folder: "a/b") is not looked at.
LayerFacts measure_tree(const Dir&, TreeVisitor* = nullptr,
                        const std::function<bool(const std::string& path)>& leave_out = {});

}  // namespace drover
