#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "cmd/commands.hpp"
#include "cmd/confirm.hpp"
#include "cmd/context.hpp"
#include "cmd/selection.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"

namespace drover {

namespace {

struct EngineEntry {
  const char* name;
  Ranking (*rank)(const SelectOptions&, const Context&);
  Selection (*select)(const SelectOptions&, const Context&, const Ranking&);
};
constexpr EngineEntry kEngines[] = {
    {"docker", docker_ranking, docker_selection},
    {"podman", podman_ranking, podman_selection},
    {"containerd", containerd_ranking, containerd_selection},
};

const EngineEntry& find_engine(const std::string& name) {
  for (const EngineEntry& engine : kEngines)
    if (engine.name == name) return engine;
  throw Error(ExitCode::usage, "there is no engine `" + name + "`", "one of docker, podman, containerd");
}

/// Checks and writes; false if the user said no.
bool write_down(Selection& selection, Context& context, SelectResult& result) {
  std::string remark = selection.check ? selection.check(selection.new_text) : "";
  if (!remark.empty()) {
    selection.remarks.push_back(remark);
    if (!context.json) context.out << "\nNote: " << remark << ".\n";
  }
  if (!confirm(context)) return false;
  try {
    result.backup = selection.file.replace(selection.new_text);
  } catch (const SystemError& e) {
    throw Error(e.code(), e.what(), "the configuration is as it was; see to that, and run the command again");
  }
  result.changed = true;
  return true;
}

void print_result(Context& context, const Selection& selection, const SelectResult& result) {
  context.out << "\nwrote " << selection.file.path();
  if (result.backup) context.out << "; the old file is " << *result.backup;
  context.out << "\n";
  context.out << selection.next << "\n";
}

int run_select(const SelectOptions& options, Context& context) {
  const EngineEntry& engine = find_engine(options.engine);
  if (engine.name != std::string("docker") && !options.storage_opts.empty())
    throw Error(ExitCode::usage, "--storage-opt is for docker only",
                "set options for " + options.engine + " by hand");
  catch_interrupts();
  Ranking ranking = engine.rank(options, context);
  SelectResult result;
  if (options.explain) {
    if (context.json)
      print_select_json(context, options, ranking, nullptr, result);
    else
      print_explanation(context, options, ranking);
    return 0;
  }
  Selection selection = engine.select(options, context, ranking);
  if (!context.json) {
    if (!options.driver) print_ranking(context, options, ranking);
    print_selection(context, options, selection);
  }
  bool went_on = true;
  if (!selection.in_force && !options.dry_run) went_on = write_down(selection, context, result);
  if (context.json)
    print_select_json(context, options, ranking, &selection, result);
  else if (result.changed)
    print_result(context, selection, result);
  else if (!went_on)
    context.out << "nothing was changed\n";
  return went_on ? 0 : static_cast<int>(ExitCode::failed);
}

}  // namespace

void add_select(CLI::App& app, Context& context) {
  auto options = std::make_shared<SelectOptions>();
  auto workload = std::make_shared<std::string>("general");
  CLI::App* cmd =
      app.add_subcommand("select", "choose the storage driver and write it to the engine's configuration");
  std::vector<std::string> workloads;
  for (Workload w : kWorkloads) workloads.emplace_back(workload_name(w));
  cmd->add_option("-s,--driver", options->driver, "this driver instead of the best one");
  cmd->add_option("--storage-opt", options->storage_opts,
                  "an option for the driver, KEY=VALUE; may be repeated")
      ->allow_extra_args(false);
  cmd->add_option("--workload", *workload,
                  "what the containers mostly do: general, write-heavy, many-containers, "
                  "low-memory, snapshots")
      ->check(CLI::IsMember(workloads));
  cmd->add_option("--engine", options->engine, "docker (default), podman or containerd")
      ->check(CLI::IsMember(std::vector<std::string>{"docker", "podman", "containerd"}));
  cmd->add_flag("--explain", options->explain, "show all drivers side by side, and change nothing");
  cmd->add_flag("--dry-run", options->dry_run, "show what would change as a diff, and change nothing");
  cmd->callback([options, workload, &context] {
    options->workload = *find_workload(*workload);
    context.exit_code = run_select(*options, context);
  });
}

}  // namespace drover
