#pragma once
#include <string>

#include "drivers/view.hpp"
#include "migrate/changes.hpp"
#include "tests/conformance/drivers_under_test.hpp"

namespace drover::test {

/// The stack of layer_script() as plain folders, one a layer: what each layer is to show.
class ModelStack {
 public:
  /// Made in an empty folder. `longest`: of the names in it.
  ModelStack(const std::string& folder, std::size_t longest);
  Dir tree(std::size_t i) const;
  View view(std::size_t i) const { return plain_view(tree(i)); }
  std::size_t longest() const { return longest_; }

 private:
  std::string folder_;
  std::size_t longest_;
};

/// The longest name that a driver holds: of ordinary letters, 251 or 255 bytes.
std::size_t longest_name(const DriverUnderTest&);

/// Makes the stack in a home. Each layer is written through the engine's mount where the table has one, into
/// its folder where that is a tree, and else from the model by the writer for deltas.
void write_stack(const TestHome&, const ModelStack&);

/// Reads a tree as changes to another one, or to nothing, and writes them into this layer of `driver`, which
/// was made just now.
void write_changes(const Dir& tree, const Dir* past, const Driver& driver, const LayerId& layer,
                   const OpenLayer& made);

/// How what the engine's mount of a layer shows differs from our view of it, one a line.
std::string mount_differences(const TestHome&, const LayerId&);

/// The driver of plain folders.
const DriverUnderTest* plain_driver();

}  // namespace drover::test
