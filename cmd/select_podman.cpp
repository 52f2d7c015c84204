#include "cmd/context.hpp"
#include "cmd/selection.hpp"
#include "detect/podman_config.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

PodmanConfig podman_config(const Context& context) {
  PodmanConfig config = read_podman_config("", PodmanEnvironment::of_this_process(), context.config);
  if (context.data_root) config.graph_root = *context.data_root;
  return config;
}

void add_remarks(Selection& selection, const PodmanConfig& config) {
  for (const std::string& store : podman_stores(config.graph_root)) {
    if (store == selection.choice) continue;
    selection.hides.push_back(store);
    selection.remarks.push_back(
        "there is data of " + store + " in " + config.graph_root + ": under " + selection.choice +
        " Buildah, Skopeo and CRI-O do not show its images and containers (nothing is deleted), "
        "and drover does not move them; `podman save` and `podman load` carry images over");
  }
  if (auto database = podman_database(config.graph_root))
    selection.remarks.push_back(
        "Podman goes by its own database (" + *database +
        "): it warns and keeps the driver that it was set up with, whatever storage.conf says, "
        "until `podman system reset`, which deletes every image, container and volume");
  for (const std::string& other : config.overrides)
    selection.remarks.push_back("this wins over " + config.path + " where it is set: " + other);
  for (const std::string& option : selection.removed)
    selection.remarks.push_back(option + " is removed, since " + selection.choice + " does not take it");
  if (config.base_path != config.path)
    selection.remarks.push_back(config.path + " is made as a copy of " + config.base_path +
                                ", which it hides");
}

}  // namespace

Ranking podman_ranking(const SelectOptions& options, const Context& context) {
  return rank_on(podman_config(context).graph_root, {},
                 {{"overlay", DriverKind::overlay2},
                  {"btrfs", DriverKind::btrfs},
                  {"zfs", DriverKind::zfs},
                  {"vfs", DriverKind::vfs}},
                 options.workload, std::nullopt);
}

Selection podman_selection(const SelectOptions& asked, const Context& context, const Ranking& ranking) {
  SelectOptions options = asked;
  if (options.driver == "overlay2") options.driver = "overlay";  // as containers/storage does
  PodmanConfig config = podman_config(context);
  const NamedDriver& chosen = choose(ranking, options);
  Selection selection{.choice = chosen.name,
                      .current = config.driver.value_or(""),
                      .current_source = config.driver ? config.base_path : "",
                      .hides = {},
                      .removed = {},
                      .remarks = {},
                      .file = ConfigFile(config.path),
                      .new_text = {},
                      .check = {},
                      .next = "it takes effect with the next command that reads it"};
  with_context("cannot edit `" + config.base_path + "`", [&] {
    selection.new_text = podman_config_with_driver(config, chosen.name, &selection.removed);
  });
  selection.in_force = config.driver == chosen.name && selection.removed.empty();
  add_remarks(selection, config);
  return selection;
}

}  // namespace drover
