#include <CLI/CLI.hpp>
#include <limits>
#include <memory>

#include "cmd/commands.hpp"
#include "cmd/context.hpp"
#include "cmd/layers_report.hpp"
#include "cmd/progress.hpp"
#include "cmd/store_access.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/preflight.hpp"

namespace drover {

namespace {

/// Files named of each kind; --no-trunc names all.
constexpr std::size_t kListedInText = 10, kListedInJson = 1000;

struct LayersFlags {
  std::string name, driver;
  bool full = false, offline = false;
  unsigned threads = 1;
};

std::size_t how_many_to_list(const LayersFlags& flags, const Context& context) {
  if (flags.full) return std::numeric_limits<std::size_t>::max();
  return context.json ? kListedInJson : kListedInText;
}

/// Prints in the format that was asked for.
template <class Report>
void print_layers(Context& context, const std::string& data_root, const Report& report, bool full) {
  if (context.picture == "dot")
    print_layers_dot(context.out, report, full);
  else if (context.picture == "svg")
    print_layers_svg(context.out, data_root, report, full);
  else if (context.json)
    print_layers_json(context.out, data_root, report);
  else
    print_layers_text(context.out, data_root, report, full);
}

/// Says what could not be read; the exit code that follows.
class Misses {
 public:
  void add(const std::string& what, const LayerReading& reading) {
    if (!reading.content) add("cannot read " + what + ": " + reading.unreadable);
  }
  void add(const std::string& text) {
    log_warning(text);
    code_ = ExitCode::partial;
  }
  int code() const { return static_cast<int>(code_); }

 private:
  ExitCode code_ = ExitCode::done;
};

int show_stack(const LayerStore& store, const LayersFlags& flags, Context& context,
               const std::string& data_root) {
  auto progress = make_progress(context);
  LayerStack stack =
      read_layer_stack(store, flags.name, how_many_to_list(flags, context), flags.threads, *progress);
  progress.reset();
  print_layers(context, data_root, stack, flags.full);
  Misses misses;
  for (const StackLayer& layer : stack.layers)
    misses.add("layer " + short_id(layer.chain_id.value_or(layer.id)), layer.reading);
  return misses.code();
}

int show_tree(const LayerStore& store, const LayersFlags& flags, Context& context,
              const std::string& data_root) {
  auto progress = make_progress(context);
  LayerTree tree = read_layer_tree(store, flags.threads, *progress);
  progress.reset();
  print_layers(context, data_root, tree, flags.full);
  Misses misses;
  for (const StoreProblem& problem : tree.problems)
    if (problem.fatal) misses.add(problem.what);
  for (const TreeContainer& container : tree.containers)
    misses.add("the layer of container " + container.name, container.reading);
  return misses.code();
}

int run_layers(const LayersFlags& flags, Context& context) {
  StoreAccess access = find_store_as_root(context);
  if (!access.root.exists)
    throw Error("there is no data root `" + access.root.path + "` (" + access.root.source + ")",
                "name the engine's with --data-root; `docker info` shows it as Docker Root Dir");
  DriverKind driver = flags.driver.empty() ? require_current_driver(access.root, access.config, "--driver")
                                           : require_driver(flags.driver);
  catch_interrupts();
  LayerStore store = open_layer_store(
      access.root, driver, {access.root.owner, storage_opts_in_force(access.config), flags.offline});
  if (store.engine_running)
    log_warning("an engine is at work in `" + access.root.path + "`: the numbers may move");
  return flags.name.empty() ? show_tree(store, flags, context, access.root.path)
                            : show_stack(store, flags, context, access.root.path);
}

}  // namespace

void add_layers(CLI::App& app, Context& context) {
  auto flags = std::make_shared<LayersFlags>();
  CLI::App* cmd = app.add_subcommand(
      "layers",
      "show the layers of an image, a container or a whole store: what is in them, who shares them");
  auto* name =
      cmd->add_option("NAME", flags->name, "an image or a container (default: all layers as a tree)");
  name->check([](const std::string& text) { return text.empty() ? "a name must not be empty" : ""; });
  cmd->add_option("-s,--driver", flags->driver, "whose store (default: the engine's current driver's)");
  cmd->add_flag("--no-trunc", flags->full, "whole IDs and commands, and every file by name");
  add_offline_option(*cmd, flags->offline);
  add_jobs_option(*cmd, flags->threads);
  cmd->callback([flags, &context] { context.exit_code = run_layers(*flags, context); });
}

}  // namespace drover
