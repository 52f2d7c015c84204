#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cmd/commands.hpp"
#include "cmd/context.hpp"
#include "cmd/info_report.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"

namespace drover {

namespace {

struct InfoOptions {
  bool no_size = false;
};

int run_info(const InfoOptions& options, Context& context) {
  InfoReport report{make_report(context.data_root, context.config), std::nullopt, std::nullopt};
  HostReport& host = report.host;
  try {
    report.stores = summarize_stores(host.root, storage_opts_in_force(host.config), host.current, host.engine,
                                     host.backing.reflink.value_or(false), !options.no_size);
  } catch (const SystemError& e) {
    add_trouble(host.troubles, e.what());
  } catch (const Error& e) {
    if (e.code() != ExitCode::in_use) throw;
    add_trouble(host.troubles, std::string(e.what()) + "; " + e.hint());  // a running engine changes it
  }
  try {
    if (auto dir = host.root.exists ? Dir::try_open(host.root.path) : std::nullopt)
      report.migration = find_open_migration(*dir);
  } catch (const Error& e) {
    add_trouble(host.troubles, e.what());
  }
  if (context.json)
    print_info_json(context.out, report);
  else
    print_info_text(context.out, report);
  for (const auto& trouble : host.troubles) log_warning(trouble);
  if (!host.troubles.empty() && ::geteuid() != 0)
    log_warning("some of it only root can tell: run drover as root");
  if (host.troubles.empty()) return static_cast<int>(ExitCode::done);
  return static_cast<int>(ExitCode::partial);
}

}  // namespace

DriverAnswer driver_answer(const RankedDriver& ranked) {
  const Probe& probe = ranked.probe;
  if (ranked.in_engine || probe.usable == Probe::Usable::no)
    return {probe.usable, probe.reason, probe.evidence, probe.fix};
  std::string fix = "choose a driver that the engine has: drover select";
  return {Probe::Usable::no, ranked.why, probe.evidence, fix};
}

void add_info(CLI::App& app, Context& context) {
  auto options = std::make_shared<InfoOptions>();
  CLI::App* command =
      app.add_subcommand("info", "tell what this host's container storage is, and which drivers can be used");
  command->add_flag("--no-size", options->no_size, "do not add up the stores' disk space");
  command->callback([options, &context] { context.exit_code = run_info(*options, context); });
}

}  // namespace drover
