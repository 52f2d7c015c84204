#include <algorithm>
#include <ostream>

#include "cmd/layers_report.hpp"
#include "cmd/svg.hpp"
#include "drivers/sys/size_text.hpp"

namespace drover {

namespace {

constexpr long kColumn = 264;  ///< the least width of a layer
constexpr long kSlab = 50;     ///< its height
constexpr long kSlabGap = 4;   ///< between layers, above and beside
constexpr long kMargin = 28;
constexpr long kHead = 74, kFoot = 52;
constexpr long kPad = 10;
constexpr long kLegend = 900;  ///< room for it in one line

/// Where a layer is: columns from the left, floors from the ground.
struct Spot {
  std::size_t column = 0, columns = 0, floor = 0;
};

/// All layers as in a house: each stands on its parent and is as wide as all that stands on it.
class House {
 public:
  explicit House(const LayerTree& tree)
      : tree_(tree), layers_(tree.layers.size()), containers_(tree.containers.size()) {
    measure();
    place();
  }

  std::size_t columns = 0, floors = 0;
  const Spot& layer(std::size_t i) const { return layers_[i]; }
  const Spot& container(std::size_t i) const { return containers_[i]; }

 private:
  /// Widths, from the tops down: children come after their parents.
  void measure() {
    for (std::size_t i = layers_.size(); i-- > 0;) {
      Spot& spot = layers_[i];
      spot.columns = std::max<std::size_t>(spot.columns + tree_.layers[i].containers.size(), 1);
      if (auto parent = tree_.layers[i].parent) layers_[*parent].columns += spot.columns;
    }
  }

  void place() {
    for (std::size_t root : tree_.roots) {
      layers_[root].column = columns;
      columns += layers_[root].columns;
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const TreeLayer& layer = tree_.layers[i];
      const Spot spot = layers_[i];
      floors = std::max(floors, spot.floor + 1);
      std::size_t column = spot.column;
      for (std::size_t container : layer.containers) {
        containers_[container] = {column++, 1, spot.floor + 1};
        floors = std::max(floors, spot.floor + 2);
      }
      for (std::size_t child : layer.children) {
        layers_[child].column = column;
        layers_[child].floor = spot.floor + 1;
        column += layers_[child].columns;
      }
    }
    // Without an image layer: of an image that has none.
    for (std::size_t i = 0; i < containers_.size(); ++i)
      if (!tree_.containers[i].parent) {
        containers_[i] = {columns++, 1, 0};
        floors = std::max<std::size_t>(floors, 1);
      }
  }

  const LayerTree& tree_;
  std::vector<Spot> layers_, containers_;
};

class TreePicture {
 public:
  TreePicture(std::ostream& out, const std::string& data_root, const LayerTree& tree, bool full)
      : tree_(tree),
        full_(full),
        house_(tree),
        width_(2 * kMargin + std::max(kColumn * static_cast<long>(house_.columns), kLegend)),
        ground_(kHead + (kSlab + kSlabGap) * static_cast<long>(house_.floors)),
        title_("Layers of " + std::string(driver_name(tree.driver)) + " in " + data_root),
        svg_(out, width_, ground_ + kFoot, title_) {
    for (const TreeLayer& layer : tree.layers) largest_ = std::max(largest_, layer.size_bytes);
    for (const TreeContainer& container : tree.containers)
      largest_ = std::max(largest_, container.size_bytes);
  }

  void draw() {
    long inside = width_ - 2 * kMargin;
    svg_.text(kMargin, 34, inside, "title", title_);
    svg_.text(kMargin, 54, inside, "sub",
              counted(tree_.layers.size(), "image layer") + ", " + human_size(tree_.layer_bytes) +
                  ", of which " + human_size(tree_.shared_bytes) + " shared by images;  " +
                  counted(tree_.images.size(), "image") + ";  " +
                  counted(tree_.containers.size(), "container") + ", " + human_size(tree_.container_bytes));
    for (std::size_t i = 0; i < tree_.layers.size(); ++i) draw(tree_.layers[i], house_.layer(i));
    for (std::size_t i = 0; i < tree_.containers.size(); ++i) draw(tree_.containers[i], house_.container(i));
    svg_.line(kMargin, ground_ + 2, width_ - kMargin, ground_ + 2, "rule");
    draw_legend();
  }

 private:
  Svg::Box box_of(const Spot& spot) const {
    return {kMargin + kColumn * static_cast<long>(spot.column),
            ground_ - (kSlab + kSlabGap) * (static_cast<long>(spot.floor) + 1) + kSlabGap,
            kColumn * static_cast<long>(spot.columns) - kSlabGap, kSlab};
  }

  void draw(const TreeLayer& layer, const Spot& spot) {
    Svg::Box box = box_of(spot);
    std::string users = users_text(layer.users, true);
    svg_.enter(box, made_by(layer) + "  |  " + layer.chain_id + "  |  " + human_size(layer.size_bytes) +
                        (users.empty() ? "" : "  |  under " + users));
    std::string share = layer.users.images.size() > 1                                  ? "shared"
                        : layer.users.images.empty() && layer.users.containers.empty() ? "unused"
                                                                                       : "own";
    svg_.rect({1, 1, box.width - 2, box.height - 2}, share);
    draw_size(box.width, layer.size_bytes);
    long size = Svg::width_of("number", human_size(layer.size_bytes));
    svg_.text(kPad, 19, box.width - 3 * kPad - size, "", command_text(made_by(layer)));
    svg_.text(kPad, 37, box.width - 2 * kPad, "mono", layer_id_text(layer.chain_id, full_));
    draw_tops(layer, box.width);
    svg_.leave();
  }

  /// The images whose top it is, as many as there is room for.
  void draw_tops(const TreeLayer& layer, long width) {
    long x = kPad + Svg::width_of("mono", layer_id_text(layer.chain_id, full_)) + kPad;
    for (std::size_t i = 0; i < layer.images.size(); ++i) {
      std::size_t left = layer.images.size() - i;
      const std::string& name = tree_.images[layer.images[i]].name;
      long room = width - kPad - x, last = left > 1 ? 34 : 0;
      bool fits = Svg::width_of("pill", name) + 14 <= room - last;
      if (!fits && i > 0) {
        svg_.pill(x, 25, std::max(room, 34L), "image", "+" + std::to_string(left));
        return;
      }
      x += svg_.pill(x, 25, room - last, "image", name) + 4;
    }
  }

  void draw(const TreeContainer& container, const Spot& spot) {
    Svg::Box box = box_of(spot);
    svg_.enter(box, "container " + container.name + "  |  " + container.id + "  |  of " + container.image);
    svg_.rect({1, 1, box.width - 2, box.height - 2}, "writable");
    if (container.reading.content)
      draw_size(box.width, container.size_bytes);
    else
      svg_.text(box.width - kPad, 19, box.width, "warn", "not readable", Svg::Anchor::end);
    svg_.text(kPad, 19, box.width - 9 * kPad, "strong", container.name);
    svg_.text(kPad, 37, box.width / 2, "mono", layer_id_text(container.id, full_));
    if (!full_) svg_.text(box.width - kPad, 37, box.width / 2 - kPad, "sub", "container", Svg::Anchor::end);
    svg_.leave();
  }

  /// The size in words, and as a bar that has one scale in all of the picture.
  void draw_size(long width, std::uint64_t bytes) {
    svg_.text(width - kPad, 19, width, "number", human_size(bytes), Svg::Anchor::end);
    if (bytes == 0 || largest_ == 0) return;
    double part = static_cast<double>(bytes) / static_cast<double>(largest_);
    svg_.rect({kPad, kSlab - 6, std::max(static_cast<long>((kColumn - 2 * kPad - kSlabGap) * part), 2L), 3},
              "bar", 1);
  }

  void draw_legend() {
    struct Entry {
      const char *css_class, *text;
    };
    long x = kMargin;
    for (const Entry& entry : {Entry{"shared", "shared by several images"}, Entry{"own", "of one image"},
                               Entry{"unused", "of no image"}, Entry{"writable", "a container's own layer"},
                               Entry{"image", "an image, at its top layer"}, Entry{"bar", "size"}}) {
      long y = ground_ + 18;
      svg_.rect({x, y, 18, 12}, entry.css_class, 3);
      svg_.text(x + 24, y + 10, kColumn, "sub", entry.text);
      x += 24 + Svg::width_of("sub", entry.text) + 14;
    }
  }

  const LayerTree& tree_;
  bool full_;
  House house_;
  long width_, ground_;
  std::string title_;
  Svg svg_;
  std::uint64_t largest_ = 0;
};

}  // namespace

void print_layers_svg(std::ostream& out, const std::string& data_root, const LayerTree& tree, bool full) {
  TreePicture(out, data_root, tree, full).draw();
}

}  // namespace drover
