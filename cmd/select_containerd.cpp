#include <algorithm>
#include <utility>

#include "cmd/context.hpp"
#include "cmd/render.hpp"
#include "cmd/selection.hpp"
#include "detect/containerd_config.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

ContainerdConfig containerd_config(const Context& context) {
  ContainerdConfig config = read_containerd_config("", context.config.value_or("/etc/containerd/config.toml"),
                                                   installed_containerd());
  if (context.data_root) config.root = *context.data_root;
  return config;
}

void add_remarks(Selection& selection, const ContainerdConfig& config) {
  selection.remarks.push_back(
      "this is the snapshotter of containerd's CRI plugin (Kubernetes, crictl); ctr, nerdctl and dockerd "
      "choose theirs "
      "themselves");
  for (const std::string& store : containerd_stores(config.root)) {
    if (store == selection.choice) continue;
    selection.hides.push_back(store);
    selection.remarks.push_back(
        "there are snapshots of " + store + " in " + config.root +
        ": containers stay with the snapshotter they were made with, and images are unpacked "
        "again for " +
        selection.choice +
        " or must be pulled again; the old snapshots keep their space, and drover does not move "
        "them");
  }
  if (config.cri_disabled)
    selection.remarks.push_back(
        "the CRI plugin is in disabled_plugins, so the setting has no effect until it is enabled");
  if (!config.imports.empty())
    selection.remarks.push_back("files that it imports may say otherwise: " + joined(config.imports));
  if (!config.runtime_snapshotters.empty())
    selection.remarks.push_back("runtimes with a snapshotter of their own keep it: " +
                                joined(config.runtime_snapshotters));
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Snapshotters that are of no use until somebody sets them up, and what that takes.
constexpr std::pair<const char*, const char*> kToSetUp[] = {
    {"fuse-overlayfs",
     "install containerd-fuse-overlayfs and name its socket in [proxy_plugins.fuse-overlayfs]"},
    {"devmapper",
     "make a thin pool and name it (pool_name) in [plugins.'io.containerd.snapshotter.v1.devmapper']"},
    {"blockfile", "set scratch_file in [plugins.'io.containerd.snapshotter.v1.blockfile']"},
};

/// A snapshotter that somebody has set up is taken as it is: nothing here can try it.
std::string choose_snapshotter(const Ranking& ranking, const SelectOptions& options,
                               const ContainerdConfig& config) {
  bool tried =
      !options.driver || std::any_of(ranking.drivers.begin(), ranking.drivers.end(),
                                     [&](const NamedDriver& d) { return d.name == *options.driver; });
  if (tried) return choose(ranking, options).name;
  if (has(config.set_up, *options.driver)) return *options.driver;
  for (const auto& [name, fix] : kToSetUp)
    if (name == *options.driver)
      throw Error(ExitCode::not_usable,
                  "cannot use " + *options.driver + ": `" + config.path + "` does not set it up", fix);
  return choose(ranking, options).name;
}

}  // namespace

Ranking containerd_ranking(const SelectOptions& options, const Context& context) {
  std::vector<std::pair<std::string, DriverKind>> names = {{"overlayfs", DriverKind::overlay2},
                                                           {"btrfs", DriverKind::btrfs},
                                                           {"zfs", DriverKind::zfs},
                                                           {"native", DriverKind::vfs}};
  return rank_on(containerd_config(context).root, {}, names, options.workload, std::nullopt);
}

Selection containerd_selection(const SelectOptions& options, const Context& context, const Ranking& ranking) {
  ContainerdConfig config = containerd_config(context);
  Selection selection{.choice = choose_snapshotter(ranking, options, config),
                      .current = config.snapshotter,
                      .current_source = config.configured ? config.path : "containerd's default",
                      .hides = {},
                      .removed = {},
                      .remarks = {},
                      .file = ConfigFile(config.path),
                      .new_text = {},
                      .check = {},
                      .next = "it takes effect when containerd starts again: systemctl restart containerd"};
  with_context("cannot edit `" + config.path + "`",
               [&] { selection.new_text = containerd_config_with_snapshotter(config, selection.choice); });
  selection.in_force = config.snapshotter == selection.choice && (config.configured || !options.driver);
  add_remarks(selection, config);
  return selection;
}

}  // namespace drover
