#include <ostream>

#include "cmd/layers_report.hpp"
#include "cmd/render.hpp"
#include "drivers/sys/size_text.hpp"

namespace drover {

namespace {

/// The tree's first column: what stands on a layer is below it, further right only where the tree forks.
class TreeColumn {
 public:
  TreeColumn(const LayerTree& tree, Table& table, bool full) : tree_(tree), table_(table), full_(full) {}

  void print() {
    std::vector<Pending> next;
    for (auto root = tree_.roots.rbegin(); root != tree_.roots.rend(); ++root)
      next.push_back({*root, "\u25a0 ", ""});
    while (!next.empty()) {
      Pending at = std::move(next.back());
      next.pop_back();
      const TreeLayer& layer = tree_.layers[at.layer];
      row(layer, at.own);
      std::size_t count = layer.children.size() + layer.containers.size();
      bool forks = count > 1 || !layer.containers.empty();
      std::vector<Pending> above;
      for (std::size_t i = 0; i < layer.containers.size(); ++i)
        row(tree_.containers[layer.containers[i]],
            at.below + (i + 1 == count ? "\u2514\u2500 " : "\u251c\u2500 "));
      for (std::size_t i = 0; i < layer.children.size(); ++i) {
        bool last = i + 1 == layer.children.size();
        if (!forks)
          above.push_back({layer.children[i], at.below + "\u2502 ", at.below});
        else
          above.push_back({layer.children[i],
                           at.below + (last ? "\u2514\u2500\u25a0 " : "\u251c\u2500\u25a0 "),
                           at.below + (last ? "  " : "\u2502 ")});
      }
      next.insert(next.end(), above.rbegin(), above.rend());
    }
  }

 private:
  struct Pending {
    std::size_t layer;
    std::string own, below;  ///< what stands before it, and before what is on it
  };

  void row(const TreeLayer& layer, const std::string& lead) {
    std::vector<std::string> tops;
    for (std::size_t image : layer.images) {
      const TreeImage& shown = tree_.images[image];
      std::string rest = shown.references.size() > 1 && full_ ? joined(shown.references) : shown.name;
      tops.push_back(rest);
    }
    std::string share = layer.users.images.size() > 1 ? counted(layer.users.images.size(), "image") : "";
    table_.row({lead + layer_id_text(layer.chain_id, full_), human_size(layer.size_bytes),
                dash_if_empty(share), command_cell(made_by(layer), full_), joined(tops)});
  }

  void row(const TreeContainer& container, const std::string& lead) {
    table_.row({lead + container.name, container.reading.content ? human_size(container.size_bytes) : "?", "",
                "container " + layer_id_text(container.id, full_)});
  }

  const LayerTree& tree_;
  Table& table_;
  bool full_;
};

}  // namespace

void print_layers_text(std::ostream& out, const std::string& data_root, const LayerTree& tree, bool full) {
  InfoLines lines(out);
  lines.heading(0, "Layers of " + std::string(driver_name(tree.driver)) + " in " + data_root);
  Table layers({"LAYER", "SIZE", "SHARED BY", "MADE BY", "TOP OF"});
  TreeColumn(tree, layers, full).print();
  if (!layers.empty()) layers.print(out, 1);
  lines.heading(0, "Images");
  Table images({"IMAGE", "ID", "LAYERS", "SIZE", "SHARED", "EXCLUSIVE", "CONTAINERS"});
  for (const TreeImage& image : tree.images)
    images.row({image.name, layer_id_text(image.id, full), std::to_string(image.layers),
                human_size(image.size_bytes), human_size(image.shared_bytes),
                human_size(image.exclusive_bytes()), std::to_string(image.containers)});
  if (!images.empty()) images.print(out, 1);
  lines.heading(0, "Containers");
  Table containers({"CONTAINER", "ID", "IMAGE", "FILES", "SIZE", "VIRTUAL"});
  for (const TreeContainer& container : tree.containers) {
    const auto& content = container.reading.content;
    containers.row({container.name, layer_id_text(container.id, full), container.image,
                    content ? human_count(content->files) : "?", content ? human_size(content->bytes) : "?",
                    content ? human_size(content->bytes + container.image_bytes) : "?"});
  }
  if (!containers.empty()) containers.print(out, 1);
  lines.heading(0, "Sum");
  lines.line(1, "Image Layers",
             counted(tree.layers.size(), "layer") + ", " + human_size(tree.layer_bytes) + ", of which " +
                 human_size(tree.shared_bytes) + " shared by images");
  lines.line(1, "Containers",
             counted(tree.containers.size(), "container") + ", " + human_size(tree.container_bytes));
  if (tree.other_layers > 0)
    lines.line(1, "Other Layers", human_count(tree.other_layers) + " of the build cache, or orphaned");
}

}  // namespace drover
