#include <ostream>

#include "cmd/layers_report.hpp"
#include "cmd/render.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/size_text.hpp"

namespace drover {

namespace {

void print_stack_head(InfoLines& lines, const std::string& data_root, const LayerStack& stack, bool full) {
  lines.line(0, stack.is_container ? "Container" : "Image", stack.name);
  lines.line(1, "ID", layer_id_text(stack.id, full));
  if (stack.is_container)
    lines.line(1, "Image",
               !stack.references.empty() ? stack.references.front()
               : stack.image             ? layer_id_text(*stack.image, full)
                                         : "not there any more");
  else if (stack.references.size() > 1)
    lines.line(1, "References", joined(stack.references));
  lines.line(1, "Driver", std::string(driver_name(stack.driver)));
  lines.line(1, "Data Root", data_root);
  const StackLayer* own = stack.writable();
  lines.line(1, "Size",
             own ? human_size(own->size_bytes) + " (virtual " + human_size(stack.size_bytes()) + ")"
                 : human_size(stack.size_bytes()));
  if (!stack.history_remark.empty()) lines.line(1, "Note", stack.history_remark);
}

void print_stack_table(std::ostream& out, const LayerStack& stack, bool full) {
  Table table({"LAYER", "KIND", "SIZE", "FILES", "HIDES", "SHARED WITH", "MADE BY"});
  for (const StackLayer& layer : stack.layers) {
    const auto& content = layer.reading.content;
    bool sized = content || layer.role == LayerRole::image;
    std::uint64_t hidden = content ? content->hidden_bytes() : 0;
    table.row({layer_id_text(layer.chain_id.value_or(layer.id), full), role_text(layer.role),
               sized ? human_size(layer.size_bytes) : "?", content ? human_count(content->files) : "?",
               !content      ? "?"
               : hidden == 0 ? "-"
                             : human_size(hidden),
               dash_if_empty(users_text(layer.shared_by, full)), command_cell(made_by(layer), full)});
  }
  table.print(out, 1);
}

template <class T>
void print_rest(std::ostream& out, const Largest<T>& list, std::size_t shown) {
  if (list.count() > shown)
    out << " and " << human_count(list.count() - shown) << " more (--no-trunc names all)\n";
}

void print_files(std::ostream& out, InfoLines& lines, const std::string& title,
                 const Largest<LayerFile>& files) {
  if (files.count() == 0) return;
  lines.line(0, title, counted(files.count(), "file") + ", " + human_size(files.bytes()));
  Table table({"SIZE", "PATH"});
  auto items = files.items();
  for (const LayerFile& file : items) table.row({human_size(file.bytes), "/" + file.path});
  table.print(out, 1);
  print_rest(out, files, items.size());
}

void print_hidden(std::ostream& out, InfoLines& lines, const Largest<HiddenEntry>& hidden) {
  if (hidden.count() == 0) return;
  lines.line(0, "Hidden",
             human_count(hidden.count()) + (hidden.count() == 1 ? " name, " : " names, ") +
                 human_size(hidden.bytes()) + " of the layers below");
  Table table({"SIZE", "FILES", "HOW", "PATH"});
  auto items = hidden.items();
  for (const HiddenEntry& entry : items)
    table.row({human_size(entry.bytes), human_count(entry.files), how_text(entry.how), "/" + entry.path});
  table.print(out, 1);
  print_rest(out, hidden, items.size());
}

void print_small_writes(std::ostream& out, InfoLines& lines, const Largest<SmallWrite>& writes,
                        WriteCost cost) {
  if (writes.count() == 0) return;
  lines.line(0, "Small Writes",
             counted(writes.count(), "large file") + ", " + human_size(writes.bytes()) +
                 ", of which little was changed");
  Table table({"SIZE", "CHANGED", "PATH"});
  auto items = writes.items();
  for (const SmallWrite& write : items)
    table.row({human_size(write.bytes),
               write.changed_bytes == 0 ? "attributes" : "<= " + human_size(write.changed_bytes),
               "/" + write.path});
  table.print(out, 1);
  print_rest(out, writes, items.size());
  lines.line(1, "Advice", small_writes_advice(cost));
}

}  // namespace

void print_layers_text(std::ostream& out, const std::string& data_root, const LayerStack& stack, bool full) {
  InfoLines lines(out);
  print_stack_head(lines, data_root, stack, full);
  lines.heading(0, "Layers");
  print_stack_table(out, stack, full);
  lines.heading(0, "Directories");
  Table directories({"LAYER", "PLACE"});
  for (const StackLayer& layer : stack.layers)
    directories.row({layer_id_text(layer.chain_id.value_or(layer.id), full), layer.place});
  directories.print(out, 1);
  const StackLayer* own = stack.writable();
  if (!own || !own->reading.content) return;
  const LayerContent& content = *own->reading.content;
  print_files(out, lines, "Added", content.added);
  print_files(out, lines, "Copied Up", content.copied_up);
  print_hidden(out, lines, content.hidden);
  print_small_writes(out, lines, content.small_writes, stack.write_cost);
}

}  // namespace drover
