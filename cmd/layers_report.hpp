#pragma once
#include <iosfwd>
#include <string>

#include "migrate/layer_stack.hpp"
#include "migrate/layer_tree.hpp"

namespace drover {

/// `drover layers` in each of its formats: of one image or container, and of a whole store. `full`: whole
/// IDs, commands and lists (--no-trunc).
void print_layers_text(std::ostream&, const std::string& data_root, const LayerStack&, bool full);
void print_layers_text(std::ostream&, const std::string& data_root, const LayerTree&, bool full);
/// The schema of docs/layers.md.
void print_layers_json(std::ostream&, const std::string& data_root, const LayerStack&);
void print_layers_json(std::ostream&, const std::string& data_root, const LayerTree&);
/// For graphviz.
void print_layers_dot(std::ostream&, const LayerStack&, bool full);
void print_layers_dot(std::ostream&, const LayerTree&, bool full);
/// A picture of its own, without anything that must be fetched.
void print_layers_svg(std::ostream&, const std::string& data_root, const LayerStack&, bool full);
void print_layers_svg(std::ostream&, const std::string& data_root, const LayerTree&, bool full);

// What the formats have in common.

std::string layer_id_text(const std::string& id, bool full);
/// A history line's command as people write it: without the shell and the builder's notes, on one line.
std::string command_text(const std::string& created_by);
/// The same of a layer; of a container's, what it is.
std::string made_by(const StackLayer&);
std::string made_by(const TreeLayer&);
/// The command as a cell of a table: harmless, and short unless `full`.
std::string command_cell(const std::string& command, bool full);
std::string dash_if_empty(const std::string&);
/// "app:1, web" or, of more than that, "3 images, 2 containers"; empty: nobody.
std::string users_text(const LayerUsers&, bool full);
/// "2 files", "1 layer"
std::string counted(std::uint64_t count, const std::string& what);
std::string how_text(HiddenEntry::How);
std::string role_text(LayerRole);
/// What to do about small writes under a driver that writes like this.
std::string small_writes_advice(WriteCost);
/// At most `width` characters, the last of them "..." if there are more.
std::string shortened(const std::string& text, std::size_t width);

}  // namespace drover
