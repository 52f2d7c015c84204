#include <ostream>

#include "cmd/layers_report.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/size_text.hpp"

namespace drover {

namespace {

constexpr std::size_t kDotCommandWidth = 40;

/// Lines as one label: in quotes, and harmless to graphviz, which reads backslashes and "\N" in labels.
std::string dot_label(std::initializer_list<std::string> lines) {
  std::string label = "\"";
  for (const std::string& line : lines) {
    if (line.empty()) continue;
    if (label.size() > 1) label += "\\n";
    for (char c : printable(line)) {
      if (c == '"' || c == '\\') label += '\\';
      label += c;
    }
  }
  return label + '"';
}

std::string command_label(const std::string& command, bool full) {
  return full ? command : shortened(printable(command), kDotCommandWidth);
}

void begin_dot(std::ostream& out) {
  out << "digraph layers {\n"
         "  rankdir=BT;\n"
         "  node [shape=box, style=\"filled,rounded\", fontname=\"Helvetica\", fontsize=11, "
         "color=\"#7c9cc0\", fillcolor=\"#e4eef9\"];\n"
         "  edge [arrowhead=none, color=\"#9aa8b8\"];\n";
}

constexpr const char* kImageStyle = ", shape=note, style=filled, color=\"#28507a\", fillcolor=\"#c4dbf3\"";
constexpr const char* kContainerStyle =
    ", style=\"filled,rounded,dashed\", color=\"#c27a17\", fillcolor=\"#fdebd0\"";

void image_node(std::ostream& out, const std::string& node, const std::string& layer,
                const std::string& name) {
  out << "  " << node << " [label=" << dot_label({name}) << kImageStyle << "];\n"
      << "  " << layer << " -> " << node << ";\n";
}

}  // namespace

void print_layers_dot(std::ostream& out, const LayerStack& stack, bool full) {
  begin_dot(out);
  for (std::size_t i = 0; i < stack.layers.size(); ++i) {
    const StackLayer& layer = stack.layers[i];
    std::string node = "layer" + std::to_string(i);
    std::string users = users_text(layer.shared_by, full);
    out << "  " << node << " [label="
        << dot_label({command_label(made_by(layer), full),
                      role_text(layer.role) + " " + layer_id_text(layer.chain_id.value_or(layer.id), full),
                      human_size(layer.size_bytes), users.empty() ? "" : "shared with " + users})
        << (layer.role == LayerRole::image ? "" : kContainerStyle) << "];\n";
    if (i > 0) out << "  " << node << " -> layer" << i - 1 << ";\n";
  }
  if (!stack.layers.empty()) image_node(out, "top", "layer0", stack.name);
  out << "}\n";
}

void print_layers_dot(std::ostream& out, const LayerTree& tree, bool full) {
  begin_dot(out);
  for (std::size_t i = 0; i < tree.layers.size(); ++i) {
    const TreeLayer& layer = tree.layers[i];
    out << "  layer" << i << " [label="
        << dot_label({command_label(made_by(layer), full), layer_id_text(layer.chain_id, full),
                      human_size(layer.size_bytes)})
        << "];\n";
    if (layer.parent) out << "  layer" << *layer.parent << " -> layer" << i << ";\n";
    for (std::size_t image : layer.images)
      image_node(out, "image" + std::to_string(image), "layer" + std::to_string(i), tree.images[image].name);
  }
  for (std::size_t i = 0; i < tree.containers.size(); ++i) {
    const TreeContainer& container = tree.containers[i];
    out << "  container" << i << " [label="
        << dot_label({container.name, layer_id_text(container.id, full), human_size(container.size_bytes)})
        << kContainerStyle << "];\n";
    if (container.parent) out << "  layer" << *container.parent << " -> container" << i << ";\n";
  }
  out << "}\n";
}

}  // namespace drover
