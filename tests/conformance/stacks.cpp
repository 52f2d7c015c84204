#include "tests/conformance/stacks.hpp"

#include <algorithm>

#include "drivers/clone_tree.hpp"
#include "migrate/layer_writer.hpp"
#include "tests/conformance/layer_script.hpp"

namespace drover::test {

namespace {

void write_by_hand(const ScriptLayer& layer, const Dir& root, std::size_t longest) {
  TreeHand hand(root, longest);
  layer.write(hand);
  hand.settle();
}

/// The layer's place in the script.
std::size_t place_of(const LayerId& id) {
  std::size_t i = 0;
  while (layer_script().at(i).id() != id) ++i;
  return i;
}

}  // namespace

ModelStack::ModelStack(const std::string& folder, std::size_t longest) : folder_(folder), longest_(longest) {
  Dir above = Dir::open(folder);
  for (std::size_t i = 0; i < layer_script().size(); ++i) {
    above.make_dir(std::to_string(i), 0755);
    if (i > 0) clone_tree(tree(i - 1), tree(i), false);
    write_by_hand(layer_script()[i], tree(i), longest);
  }
}

Dir ModelStack::tree(std::size_t i) const { return Dir::open(folder_ + "/" + std::to_string(i)); }

std::size_t longest_name(const DriverUnderTest& driver) {
  // A home need not exist to be asked for its marks.
  Marks marks = driver_entry(driver.kind).open("/nowhere/home", {})->marks();
  std::size_t longest = 255;
  while (!can_hold_name(marks, std::string(longest, 'n'))) --longest;
  return longest;
}

void write_stack(const TestHome& home, const ModelStack& model) {
  // Images as trees, the rest as deltas: the trees share inodes, and a delta may stand on another layer than
  // its parent. Then only the writers know how to write.
  bool mixed = home->form() != home->writable_form();
  for (std::size_t i = 0; i < layer_script().size(); ++i) {
    const ScriptLayer& layer = layer_script()[i];
    bool share = mixed && i > 0 && layer.role == LayerRole::image;
    OpenLayer made = home->create(layer.id(), parent_of(i), {.share_inodes = share});
    if (home.under_test().mount && !mixed) {
      auto mount = home.under_test().mount(home.path(), *home, layer.id());
      write_by_hand(layer, mount->root(), model.longest());
    } else if (i == 0 || (home->form() == LayerForm::tree && !mixed)) {
      write_by_hand(layer, made.root, model.longest());
    } else {
      std::vector<LayerId> stack = home->stack(layer.id());
      Dir past = model.tree(stack.size() > 1 ? place_of(stack[1]) : i - 1);
      write_changes(model.tree(i), &past, *home, layer.id(), made);
    }
    home->seal(layer.id());
  }
}

void write_changes(const Dir& tree, const Dir* past, const Driver& driver, const LayerId& id,
                   const OpenLayer& layer) {
  ViewComparison comparison;
  comparison.content = true;
  View now = plain_view(tree);
  std::optional<View> before;
  if (past) before = plain_view(*past);
  if (driver.form_of(id) == LayerForm::delta) {
    DeltaWriter writer(layer.root, Marks::none, driver.marks(), false);
    read_views(now, past ? &*before : nullptr, comparison, writer);
  } else {
    TreeWriter writer(layer.root, Marks::none, false, driver.marks());
    read_views(now, past ? &*before : nullptr, comparison, writer);
  }
}

std::string mount_differences(const TestHome& home, const LayerId& id) {
  auto mount = home.under_test().mount(home.path(), *home, id);
  return differences(plain_view(mount->root()), Marks::none, View(*home, id), home->marks());
}

const DriverUnderTest* plain_driver() {
  const auto& table = drivers_under_test();
  return &*std::find_if(table.begin(), table.end(),
                        [](const DriverUnderTest& d) { return d.kind == DriverKind::vfs; });
}

}  // namespace drover::test
