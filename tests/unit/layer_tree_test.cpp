#include "migrate/layer_tree.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "migrate/layer_stack.hpp"
#include "tests/support/layers_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {

struct Looker : LayersFixture {
  LayerStore open() const {
    return open_layer_store({tree.root(), "flag", true, {}}, DriverKind::overlay2, {});
  }
  LayerTree all() const {
    Progress progress;
    return read_layer_tree(open(), 2, progress);
  }
  LayerStack stack(const std::string& name) const {
    Progress progress;
    return read_layer_stack(open(), name, 100, 2, progress);
  }
  /// The metadata that the builder before BuildKit leaves.
  void built_from(const Digest& image, const Digest& parent) const {
    tree.write("/image/overlay2/imagedb/metadata/sha256/" + image + "/parent", "sha256:" + parent);
  }
};

std::string names(const std::set<std::string>& list) {
  std::string text;
  for (const std::string& name : list) text += (text.empty() ? "" : " ") + name;
  return text;
}

const TreeImage& image_named(const LayerTree& tree, const std::string& name) {
  for (const TreeImage& image : tree.images)
    if (image.name == name) return image;
  throw std::runtime_error("no image " + name);
}

}  // namespace

TEST_CASE("the tree has each layer once, below what stands on it") {
  Looker looker;
  LayerTree tree = looker.all();
  REQUIRE(tree.layers.size() == 4);
  // In the order of the names on top: app:latest, base:1, other:1, and the untagged one, by its digits.
  CHECK(tree.roots.size() == 2);
  std::map<Digest, const TreeLayer*> by_chain;
  for (std::size_t i = 0; i < tree.layers.size(); ++i) {
    const TreeLayer& layer = tree.layers[i];
    by_chain[layer.chain_id] = &layer;
    if (layer.parent) CHECK(*layer.parent < i);
    for (std::size_t child : layer.children) CHECK(tree.layers[child].parent == i);
  }
  const TreeLayer &base = *by_chain.at(looker.base), &app = *by_chain.at(looker.app);
  CHECK_FALSE(base.parent);
  CHECK(tree.layers[*app.parent].chain_id == looker.base);
  CHECK(names(base.users.images) == names({"app:latest", "base:1", short_id(looker.untagged_image)}));
  CHECK(names(base.users.containers) == "worker");
  CHECK(names(app.users.images) == names({"app:latest", short_id(looker.untagged_image)}));
  CHECK(app.containers.size() == 1);
  CHECK(app.images.size() == 1);
  REQUIRE(app.history);
  CHECK(app.history->created_by.starts_with("sample layer "));
  CHECK(app.cache_id == looker.id(looker.app));
}

TEST_CASE("sizes are the records', shared and exclusive ones add up, containers are counted") {
  Looker looker;
  LayerTree tree = looker.all();
  const TreeImage& app = image_named(tree, "app:latest");
  CHECK(app.layers == 2);
  CHECK(app.size_bytes == 2);
  CHECK(app.shared_bytes == 2);
  CHECK(app.exclusive_bytes() == 0);
  CHECK(app.containers == 1);
  CHECK(app.references.size() == 3);
  const TreeImage& other = image_named(tree, "other:1");
  CHECK(other.shared_bytes == 0);
  CHECK(other.exclusive_bytes() == 1);
  CHECK(tree.layer_bytes == 3);
  CHECK(tree.shared_bytes == 2);
  REQUIRE(tree.containers.size() == 2);
  CHECK(tree.containers[0].name == "idle");
  CHECK(tree.containers[1].image == "app:latest");
  REQUIRE(tree.containers[1].reading.content);
  CHECK(tree.containers[1].size_bytes == 16);
  CHECK(tree.containers[1].image_bytes == 2);
  CHECK(tree.container_bytes == 32);
  CHECK(tree.other_layers == 0);
  CHECK(tree.problems.empty());
  CHECK_FALSE(tree.engine_running);
}

TEST_CASE("an image that others were built from and that has no name is not shown") {
  Looker looker;
  looker.built_from(looker.app_image, looker.untagged_image);
  LayerTree tree = looker.all();
  CHECK(tree.images.size() == 3);
  CHECK(image_named(tree, "app:latest").shared_bytes == 1);
  // It is there for those who name it.
  CHECK(looker.stack(short_id(looker.untagged_image)).layers.size() == 3);
  looker.built_from(looker.app_image, looker.base_image);  // that has a name
  CHECK(looker.all().images.size() == 4);
}

TEST_CASE("layers of nobody are told, and a container whose layer is damaged is") {
  Looker looker;
  looker.tree.write("/overlay2/" + std::string(64, 'e') + "/diff/file", "x");
  looker.tree.write("/overlay2/" + std::string(25, 'q') + "/diff/file", "x");
  looker.tree.write("/overlay2/" + looker.root.mount(looker.worker).mount_id + "/lower", "l/../../etc");
  LayerTree tree = looker.all();
  CHECK(tree.other_layers == 2);
  CHECK(tree.containers[1].reading.unreadable.find("is damaged") != std::string::npos);
  CHECK_FALSE(tree.containers[1].reading.content);
  CHECK(tree.containers[0].reading.content);
  LayerStack stack = looker.stack("worker");
  CHECK(stack.layers.size() == 4);
  CHECK_FALSE(stack.layers[0].reading.content);
  CHECK(stack.layers[1].reading.content);
}

TEST_CASE("a container's stack goes from its own layer to the base") {
  Looker looker;
  LayerStack stack = looker.stack("worker");
  CHECK(stack.is_container);
  CHECK(stack.image == looker.app_image);
  CHECK(stack.references[0] == "app:latest");
  CHECK(stack.write_cost == WriteCost::whole_files);
  REQUIRE(stack.layers.size() == 4);
  CHECK(stack.layers[0].role == LayerRole::writable);
  CHECK(stack.layers[0].place == looker.tree.root() + looker.diff(looker.root.mount(looker.worker).mount_id));
  CHECK(stack.layers[1].role == LayerRole::init);
  CHECK(stack.layers[2].chain_id == looker.app);
  CHECK(stack.layers[3].chain_id == looker.base);
  CHECK(stack.size_bytes() == 18);
  const LayerContent& own = *stack.layers[0].reading.content;
  CHECK(own.files == 2);
  CHECK(own.copied_up.count() == 2);
  CHECK(own.added.count() == 0);
  CHECK(names(stack.layers[2].shared_by.images) == names({"app:latest", short_id(looker.untagged_image)}));
  CHECK(names(stack.layers[2].shared_by.containers) == "");
}

TEST_CASE("an image's stack has its layers, each with what made it, and not itself among those who share") {
  Looker looker;
  LayerStack stack = looker.stack("app");
  CHECK_FALSE(stack.is_container);
  CHECK(stack.writable() == nullptr);
  CHECK(stack.id == looker.app_image);
  REQUIRE(stack.layers.size() == 2);
  CHECK(stack.layers[0].history->created_by ==
        "sample layer " + short_id(looker.root.layer(looker.app).diff_id));
  CHECK(stack.layers[0].reading.content->files == 1);
  CHECK(names(stack.layers[1].shared_by.images) == names({"base:1", short_id(looker.untagged_image)}));
  CHECK(names(stack.layers[1].shared_by.containers) == "worker");
  CHECK_THROWS_AS(looker.stack("nothing"), Error);
}

TEST_CASE("an empty data root has an empty tree") {
  HostTree empty;
  Progress progress;
  LayerStore store = open_layer_store({empty.root(), "flag", true, {}}, DriverKind::overlay2, {});
  LayerTree tree = read_layer_tree(store, 1, progress);
  CHECK(tree.layers.empty());
  CHECK(tree.images.empty());
}
