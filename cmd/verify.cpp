#include "migrate/verify.hpp"
#include "drivers/sys/size_text.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cmd/commands.hpp"
#include "cmd/context.hpp"
#include "cmd/progress.hpp"
#include "cmd/render.hpp"
#include "cmd/store_access.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/preflight.hpp"

namespace drover {

namespace {

using Json = nlohmann::ordered_json;

struct VerifyFlags {
  std::vector<std::string> names;
  std::string driver;
  bool offline = false;
  unsigned threads = 1;
};

Json findings_json(const std::vector<LayerFinding>& findings) {
  Json list = Json::array();
  for (const LayerFinding& f : findings)
    list.push_back({{"layer", f.layer}, {"concerns", f.concerns}, {"detail", f.detail}});
  return list;
}

void print_json_report(Context& context, const DataRoot& root, const VerifyReport& report) {
  Json problems = Json::array();
  for (const StoreProblem& p : report.problems)
    problems.push_back({{"what", p.what}, {"concerns", p.concerns}, {"fatal", p.fatal}, {"fix", p.fix}});
  print_json(context.out, {{"schema", 1},
                           {"data_root", root.path},
                           {"driver", driver_name(report.driver)},
                           {"sound", report.sound()},
                           {"images", report.images},
                           {"containers", report.containers},
                           {"proven", report.proven},
                           {"proven_bytes", report.proven_bytes},
                           {"writable_layers_read", report.walked},
                           {"problems", problems},
                           {"damaged", findings_json(report.damaged)},
                           {"not_provable", findings_json(report.not_provable)}});
}

std::string concerned(const std::vector<std::string>& whom) {
  std::string text;
  for (const std::string& one : whom) text += (text.empty() ? " (needed by " : ", ") + one;
  return text.empty() ? text : text + ")";
}

void print_text_report(Context& context, const DataRoot& root, const VerifyReport& report) {
  InfoLines lines(context.out);
  lines.heading(0, "Store of " + std::string(driver_name(report.driver)) + " in " + root.path);
  lines.line(1, "Images", human_count(report.images));
  lines.line(1, "Containers", human_count(report.containers));
  lines.line(1, "Layers Proven",
             human_count(report.proven) + " (" + human_size(report.proven_bytes) +
                 " rebuilt, every diff ID as recorded)");
  lines.line(1, "Writable Layers",
             human_count(report.walked) + " readable (no digest tells what is in them)");
  for (const StoreProblem& p : report.problems)
    lines.line(1,
               !p.fatal        ? "Ignored by the engine"
               : p.fix.empty() ? "Damaged"
                               : "Not Readable",
               p.what + concerned(p.concerns));
  for (const LayerFinding& f : report.damaged)
    lines.line(1, "Damaged", "layer " + short_id(f.layer) + ": " + f.detail + concerned(f.concerns));
  for (const LayerFinding& f : report.not_provable)
    lines.line(1, "Not Provable", "layer " + short_id(f.layer) + ": " + f.detail + concerned(f.concerns));
}

int run_verify(const VerifyFlags& flags, Context& context) {
  StoreAccess store = find_store_as_root(context);
  if (!store.root.exists)
    throw Error("there is no data root `" + store.root.path + "` (" + store.root.source + ")",
                "name the engine's with --data-root; `docker info` shows it as Docker Root Dir");
  DriverKind driver = flags.driver.empty() ? require_current_driver(store.root, store.config, "--driver")
                                           : require_driver(flags.driver);
  catch_interrupts();
  auto progress = make_progress(context);
  HomeSettings settings{store.root.owner, storage_opts_in_force(store.config), flags.offline};
  VerifyReport report = verify_store(store.root, driver, settings, flags.names, flags.threads, *progress);
  progress.reset();
  if (context.json)
    print_json_report(context, store.root, report);
  else if (!report.sound() || log_level() != LogLevel::quiet)
    print_text_report(context, store.root, report);
  if (report.sound()) return static_cast<int>(ExitCode::done);
  std::size_t damages = report.damaged.size();
  for (const StoreProblem& p : report.problems) damages += p.fatal ? 1 : 0;
  throw Error(ExitCode::proof_failed,
              "the store of " + std::string(driver_name(driver)) + " in `" + store.root.path + "` has " +
                  std::to_string(damages) + (damages == 1 ? " damage" : " damages"),
              "pull or load the images named again; remove a container that is damaged with the engine");
}

}  // namespace

void add_verify(CLI::App& app, Context& context) {
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App* cmd = app.add_subcommand(
      "verify", "prove layers: rebuild each one's tar and compare it with its diff ID; changes nothing");
  cmd->add_option("NAME", flags->names, "images, containers or layers (default: everything)");
  cmd->add_option("-s,--driver", flags->driver, "whose store (default: the engine's current driver's)");
  add_offline_option(*cmd, flags->offline);
  add_jobs_option(*cmd, flags->threads);
  cmd->callback([flags, &context] { context.exit_code = run_verify(*flags, context); });
}

}  // namespace drover
