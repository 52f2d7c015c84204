#include "cmd/migrate_report.hpp"

#include <nlohmann/json.hpp>
#include <ostream>

#include "cmd/render.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/size_text.hpp"

namespace drover {

namespace {

using Json = nlohmann::ordered_json;

const char* role_name(LayerRole role) {
  switch (role) {
    case LayerRole::image:
      return "image";
    case LayerRole::init:
      return "init";
    case LayerRole::writable:
      return "writable";
    case LayerRole::build_cache:
      break;
  }
  return "build cache";
}

Json layer_json(const PlannedLayer& layer) {
  return {{"id", layer.id},
          {"parent", layer.parent ? Json(*layer.parent) : Json(nullptr)},
          {"role", role_name(layer.role)},
          {"chain_id", layer.chain_id ? Json("sha256:" + *layer.chain_id) : Json(nullptr)},
          {"serves", layer.serves},
          {"renamed", layer.renamed}};
}

/// What users have names for, one a line; layers in one number.
void print_left(InfoLines& lines, const LeftBehind& left) {
  std::size_t layers = 0;
  for (const auto& [part, what] : left) {
    if (part.kind == Part::Kind::layer)
      ++layers;
    else
      lines.line(1, "Left Behind", describe(part, what) + ": " + printable(what.why));
  }
  if (layers > 0) lines.line(1, "Left Behind", human_count(layers) + (layers == 1 ? " layer" : " layers"));
}

void print_plan_json(Context& context, const DataRoot& root, const Preflight& found,
                     const std::string& config_diff, bool no_proof) {
  const Plan& plan = found.plan;
  Json layers = Json::array(), rest = nullptr;
  for (const PlannedLayer& layer : plan.layers) layers.push_back(layer_json(layer));
  if (found.move)
    rest = {{"entries", found.rest.names},
            {"volumes", found.rest.volumes},
            {"bytes", found.rest.facts.bytes},
            {"inodes", found.rest.facts.entries}};
  print_json(context.out, {{"schema", 1},
                           {"data_root", root.path},
                           {"to_root", found.move ? Json(found.move->to_root) : Json(nullptr)},
                           {"from", driver_name(plan.from)},
                           {"to", driver_name(plan.to)},
                           {"rest", rest},
                           {"images", plan.images},
                           {"tags", plan.tags},
                           {"containers", plan.containers},
                           {"layers", layers},
                           {"orphaned_layers", plan.orphans},
                           {"bytes", plan.bytes},
                           {"image_transfer", transfer_name(plan.image_transfer)},
                           {"container_transfer", transfer_name(plan.container_transfer)},
                           {"needed_bytes", plan.needed_bytes},
                           {"free_bytes", plan.free_bytes},
                           {"needed_inodes", plan.needed_inodes},
                           {"free_inodes", plan.counts_inodes ? Json(plan.free_inodes) : Json(nullptr)},
                           {"fits", plan.fits()},
                           {"no_proof", no_proof},
                           {"notes", plan.notes},
                           {"left_behind", left_behind_json(found.inventory.left)},
                           {"removed_storage_opts", found.removed},
                           {"config_diff", config_diff}});
}

void print_plan_text(Context& context, const DataRoot& root, const Preflight& found,
                     const std::string& config_diff, bool no_proof) {
  const Plan& plan = found.plan;
  InfoLines lines(context.out);
  lines.heading(0, "Migration Plan");
  lines.line(1, "Data Root", root.path);
  if (found.move) lines.line(1, "New Data Root", found.move->to_root);
  lines.line(1, "From", std::string(driver_name(plan.from)));
  lines.line(1, "To", std::string(driver_name(plan.to)));
  lines.line(1, "Images", human_count(plan.images) + " (" + human_count(plan.tags) + " tags and digests)");
  lines.line(1, "Containers", human_count(plan.containers));
  lines.line(1, "Layers", human_count(plan.layers.size()));
  lines.line(1, "Data", human_size(plan.bytes));
  if (found.move) {
    lines.line(1, "Volumes", human_count(found.rest.volumes));
    lines.line(1, "All Else",
               human_size(found.rest.facts.bytes) + " in " + human_count(found.rest.facts.entries) +
                   " entries: " + joined(found.rest.names));
  }
  if (plan.image_transfer == Transfer::renames)
    lines.line(
        1, "Layers Renamed",
        human_count(plan.renamed) + ": there is one copy, and a rollback brings it back as it is then");
  if (no_proof) lines.line(1, "Proof", "none: what is carried is not proven (--no-proof)");
  lines.line(1, "Image Layers By", std::string(transfer_name(plan.image_transfer)));
  lines.line(1, "Writable Layers By", std::string(transfer_name(plan.container_transfer)));
  lines.line(1, "Space Needed",
             "up to " + human_size(plan.needed_bytes) + " of " + human_size(plan.free_bytes) + " free");
  if (plan.counts_inodes)
    lines.line(1, "Inodes Needed",
               "up to " + human_count(plan.needed_inodes) + " of " + human_count(plan.free_inodes) + " free");
  lines.line(1, "Kept for Rollback",
             root.path + (found.move ? " as it is" : "/drover") + ", until `drover commit`");
  print_left(lines, found.inventory.left);
  for (const std::string& note : plan.notes) lines.line(1, "Note", note);
  for (const std::string& option : found.removed)
    lines.line(
        1, "Note",
        "storage-opt " + option + " is removed: " + std::string(driver_name(plan.to)) + " does not take it");
  if (!config_diff.empty()) context.out << "\n" << config_diff;
  if (log_level() != LogLevel::verbose) return;
  context.out << "\n";
  Table table({"LAYER", "PARENT", "ROLE", "SERVES"});
  for (const PlannedLayer& layer : plan.layers)
    table.row({short_id(layer.id), layer.parent ? short_id(*layer.parent) : "-", role_name(layer.role),
               layer.serves.empty() ? "-"
               : layer.serves.size() == 1
                   ? layer.serves[0]
                   : layer.serves[0] + " and " + std::to_string(layer.serves.size() - 1) + " more"});
  table.print(context.out);
}

void print_result_json(Context& context, const MigrationResult& result) {
  const TransferCount& moved = result.transfer;
  print_json(context.out, {{"schema", 1},
                           {"data_root", result.root},
                           {"old_data_root", result.old_root ? Json(*result.old_root) : Json(nullptr)},
                           {"from", driver_name(result.from)},
                           {"to", driver_name(result.to)},
                           {"images", result.images},
                           {"tags", result.tags},
                           {"containers", result.containers},
                           {"layers",
                            {{"proven", result.proven},
                             {"compared", result.compared},
                             {"of_earlier_run", result.earlier},
                             {"damaged_in_source", result.damaged},
                             {"renamed", result.renamed},
                             {"not_proven", result.not_proven}}},
                           {"renames", result.renames},
                           {"no_proof", result.no_proof},
                           {"notes", result.notes},
                           {"left_behind", left_behind_json(result.left)},
                           {"files",
                            {{"linked", moved.linked},
                             {"reflinked", moved.reflinked},
                             {"copied", moved.copied},
                             {"copied_bytes", moved.copied_bytes}}}});
}

void print_result_text(Context& context, const MigrationResult& result) {
  const TransferCount& moved = result.transfer;
  InfoLines lines(context.out);
  std::string to(driver_name(result.to));
  std::string from(driver_name(result.from));
  lines.heading(0, result.old_root ? "Moved from " + *result.old_root + " to " + result.root
                                   : "Moved from " + from + " to " + to);
  if (result.old_root) lines.line(1, "Driver", from == to ? to : to + ", was " + from);
  lines.line(1, "Images",
             human_count(result.images) + " (" + human_count(result.tags) + " tags and digests)");
  lines.line(1, "Containers", human_count(result.containers));
  if (result.earlier > 0) lines.line(1, "Layers Done Earlier", human_count(result.earlier));
  lines.line(1, "Layers Proven", human_count(result.proven) + " by their diff ID");
  lines.line(1, "Layers Compared", human_count(result.compared) + " entry by entry with the source");
  if (result.renamed > 0) lines.line(1, "Layers Renamed", human_count(result.renamed));
  if (result.no_proof)
    lines.line(
        1, "Not Proven",
        human_count(result.not_proven) + " layers, by --no-proof; `drover verify` proves those of images");
  lines.line(1, "Files",
             human_count(moved.linked) + " linked, " + human_count(moved.reflinked) + " reflinked, " +
                 human_count(moved.copied) + " copied (" + human_size(moved.copied_bytes) + ")");
  print_left(lines, result.left);
  for (const std::string& layer : result.damaged)
    lines.line(1, "Damaged Before", layer + ": carried as it was");
  lines.line(1, "Old Data",
             result.renames    ? "the records and what was copied, in " + result.root + "/drover"
             : result.old_root ? "untouched in " + *result.old_root
                               : "kept in " + result.root + "/drover");
  if (result.renames)
    lines.line(
        1, "Note",
        "layers were renamed: there is one copy, and a rollback keeps what containers write until then");
  context.out << "\nStart the engine and look around. Then, either is final:\n"
              << (result.left.empty()
                      ? "  drover commit     deletes the old data\n"
                      : "  drover commit --discard-left-behind\n"
                        "                    deletes the old data, and with it what was left behind\n")
              << "  drover rollback   goes back to " << result.old_root.value_or(from)
              << ", with the engine stopped\n";
}

}  // namespace

Json left_behind_json(const LeftBehind& left) {
  Json parts = Json::array();
  for (const auto& [part, what] : left) {
    bool digest = part.kind == Part::Kind::layer || part.kind == Part::Kind::image;
    parts.push_back({{"kind", kind_name(part.kind)},
                     {"id", digest ? "sha256:" + part.id : part.id},
                     {"name", what.name},
                     {"why", what.why}});
  }
  return parts;
}

void print_plan(Context& context, const DataRoot& root, const Preflight& found,
                const std::string& config_diff, bool no_proof) {
  if (context.json)
    print_plan_json(context, root, found, config_diff, no_proof);
  else
    print_plan_text(context, root, found, config_diff, no_proof);
}

void print_result(Context& context, const MigrationResult& result) {
  if (context.json)
    print_result_json(context, result);
  else
    print_result_text(context, result);
}

}  // namespace drover
