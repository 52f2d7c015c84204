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
  constexpr std::size_t kLongest = 255, kLongestHideable = 251;
  // A home need not exist to be asked for its marks.
  Marks marks = driver_entry(driver.kind).open("/nowhere/home", {})->marks();
  return can_hold_name(marks, std::string(kLongest, 'n')) ? kLongest : kLongestHideable;
}

void write_stack(const TestHome& home, const ModelStack& model) {
  for (std::size_t i = 0; i < layer_script().size(); ++i) {
    const ScriptLayer& layer = layer_script()[i];
    OpenLayer made = home->create(layer.id(), parent_of(i), {});
    if (home.under_test().mount) {
      auto mount = home.under_test().mount(home.path(), *home, layer.id());
      write_by_hand(layer, mount->root(), model.longest());
    } else if (home->form() == LayerForm::tree) {
      write_by_hand(layer, made.root, model.longest());
    } else {
      std::optional<Dir> parent;
      if (i > 0) parent = model.tree(i - 1);
      write_changes(model.tree(i), parent ? &*parent : nullptr, *home, made.root);
    }
    home->seal(layer.id());
  }
}

void write_changes(const Dir& tree, const Dir* parent, const Driver& driver, const Dir& layer) {
  TreeComparison comparison;
  comparison.content = true;
  if (driver.form() == LayerForm::delta) {
    DeltaWriter writer(layer, Marks::none, driver.marks(), false);
    read_tree(tree, parent, comparison, writer);
  } else {
    TreeWriter writer(layer, Marks::none, false);
    read_tree(tree, parent, comparison, writer);
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
