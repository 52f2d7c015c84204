#include <nlohmann/json.hpp>

#include "cmd/layers_report.hpp"
#include "cmd/render.hpp"

namespace drover {

namespace {

using LayersJson = nlohmann::ordered_json;

template <class T>
LayersJson or_null(const std::optional<T>& value) {
  return value ? LayersJson(*value) : LayersJson(nullptr);
}

LayersJson item_json(const LayerFile& file) {
  return {{"path", "/" + file.path}, {"bytes", file.bytes}, {"bytes_below", file.bytes_below}};
}
LayersJson item_json(const HiddenEntry& entry) {
  return {{"path", "/" + entry.path},
          {"how", how_text(entry.how)},
          {"bytes", entry.bytes},
          {"files", entry.files}};
}
LayersJson item_json(const SmallWrite& write) {
  return {{"path", "/" + write.path}, {"bytes", write.bytes}, {"changed_bytes", write.changed_bytes}};
}

template <class T>
LayersJson list_json(const Largest<T>& list) {
  LayersJson items = LayersJson::array();
  for (const T& item : list.items()) items.push_back(item_json(item));
  return {{"count", list.count()}, {"bytes", list.bytes()}, {"largest", items}};
}

LayersJson content_json(const std::optional<LayerContent>& content) {
  if (!content) return nullptr;
  return {{"files", content->files},
          {"directories", content->directories},
          {"bytes", content->bytes},
          {"hidden_bytes", content->hidden_bytes()},
          {"added", list_json(content->added)},
          {"copied_up", list_json(content->copied_up)},
          {"hidden", list_json(content->hidden)},
          {"small_writes", list_json(content->small_writes)}};
}

void put_history(LayersJson& object, const std::optional<HistoryLine>& line) {
  object["created"] = line ? LayersJson(line->created) : LayersJson(nullptr);
  object["created_by"] = line ? LayersJson(line->created_by) : LayersJson(nullptr);
  object["comment"] = line ? LayersJson(line->comment) : LayersJson(nullptr);
}

void put_users(LayersJson& object, const LayerUsers& users) {
  object["images"] = users.images;
  object["containers"] = users.containers;
}

LayersJson layer_json(const StackLayer& layer) {
  LayersJson object = {{"role", role_text(layer.role)},
                       {"id", layer.id},
                       {"chain_id", or_null(layer.chain_id)},
                       {"bytes", layer.size_bytes}};
  put_history(object, layer.history);
  object["shared_by"] = LayersJson::object();
  put_users(object["shared_by"], layer.shared_by);
  object["place"] = layer.place;
  object["content"] = content_json(layer.reading.content);
  object["unreadable"] = layer.reading.unreadable;
  return object;
}

LayersJson layer_json(const LayerTree& tree, const TreeLayer& layer) {
  LayersJson top_of = LayersJson::array();
  for (std::size_t image : layer.images) top_of.push_back(tree.images[image].id);
  LayersJson object = {
      {"chain_id", layer.chain_id},
      {"id", layer.cache_id},
      {"parent", layer.parent ? LayersJson(tree.layers[*layer.parent].chain_id) : LayersJson(nullptr)},
      {"bytes", layer.size_bytes}};
  put_history(object, layer.history);
  object["top_of"] = top_of;
  put_users(object, layer.users);
  return object;
}

LayersJson chain_id_json(const LayerTree& tree, const std::optional<std::size_t>& layer) {
  return layer ? LayersJson(tree.layers[*layer].chain_id) : LayersJson(nullptr);
}

LayersJson image_json(const LayerTree& tree, const TreeImage& image) {
  return {{"id", image.id},
          {"name", image.name},
          {"references", image.references},
          {"top", chain_id_json(tree, image.top)},
          {"layers", image.layers},
          {"bytes", image.size_bytes},
          {"shared_bytes", image.shared_bytes},
          {"exclusive_bytes", image.exclusive_bytes()},
          {"containers", image.containers}};
}

LayersJson container_json(const LayerTree& tree, const TreeContainer& container) {
  const auto& content = container.reading.content;
  return {{"id", container.id},
          {"name", container.name},
          {"image", container.image},
          {"parent", chain_id_json(tree, container.parent)},
          {"layer", container.mount_id},
          {"bytes", content ? LayersJson(content->bytes) : LayersJson(nullptr)},
          {"files", content ? LayersJson(content->files) : LayersJson(nullptr)},
          {"image_bytes", container.image_bytes},
          {"unreadable", container.reading.unreadable}};
}

}  // namespace

void print_layers_json(std::ostream& out, const std::string& data_root, const LayerStack& stack) {
  LayersJson layers = LayersJson::array();
  for (const StackLayer& layer : stack.layers) layers.push_back(layer_json(layer));
  bool advised = stack.writable() && stack.writable()->reading.content &&
                 stack.writable()->reading.content->small_writes.count() > 0;
  print_json(out, {{"schema", 1},
                   {"data_root", data_root},
                   {"driver", driver_name(stack.driver)},
                   {"engine_running", stack.engine_running},
                   {"kind", stack.is_container ? "container" : "image"},
                   {"id", stack.id},
                   {"name", stack.name},
                   {"image", or_null(stack.image)},
                   {"references", stack.references},
                   {"bytes", stack.size_bytes()},
                   {"history_remark", stack.history_remark},
                   {"layers", layers},
                   {"advice", advised ? small_writes_advice(stack.write_cost) : ""}});
}

void print_layers_json(std::ostream& out, const std::string& data_root, const LayerTree& tree) {
  LayersJson layers = LayersJson::array(), images = LayersJson::array(), containers = LayersJson::array(),
             problems = LayersJson::array();
  for (const TreeLayer& layer : tree.layers) layers.push_back(layer_json(tree, layer));
  for (const TreeImage& image : tree.images) images.push_back(image_json(tree, image));
  for (const TreeContainer& container : tree.containers)
    containers.push_back(container_json(tree, container));
  for (const StoreProblem& p : tree.problems)
    problems.push_back({{"what", p.what}, {"concerns", p.concerns}, {"fatal", p.fatal}, {"fix", p.fix}});
  print_json(out, {{"schema", 1},
                   {"data_root", data_root},
                   {"driver", driver_name(tree.driver)},
                   {"engine_running", tree.engine_running},
                   {"layer_bytes", tree.layer_bytes},
                   {"shared_bytes", tree.shared_bytes},
                   {"container_bytes", tree.container_bytes},
                   {"other_layers", tree.other_layers},
                   {"layers", layers},
                   {"images", images},
                   {"containers", containers},
                   {"problems", problems}});
}

}  // namespace drover
