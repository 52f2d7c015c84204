#include "cmd/app.hpp"

#include <archive.h>
#include <libmount/libmount.h>
#include <nettle/version.h>
#include <zlib.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <ostream>

#include "cmd/commands.hpp"
#include "cmd/context.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

constexpr const char* kExitCodes =
    "Exit codes:\n"
    "  0    done\n"
    "  1    failed\n"
    "  2    wrong usage\n"
    "  3    done in part\n"
    "  10   the driver cannot be used here\n"
    "  11   the data root is in use, or a migration is open\n"
    "  12   the proof found a difference, or the source is damaged\n"
    "  130  interrupted\n";

std::string version_text() {
  const char* mount_version = nullptr;
  mnt_get_library_version(&mount_version);
  return std::string("drover " DROVER_VERSION "\n") +  //
         "libmount " + mount_version + "\n" +          //
         archive_version_string() + "\n" +             //
         "nettle " + std::to_string(nettle_version_major()) + "." + std::to_string(nettle_version_minor()) +
         "\n" + "zlib " + zlibVersion() + "\n" +  //
         "zstd " + ZSTD_versionString() + "\n" +  //
         "CLI11 " CLI11_VERSION;
}

/// The word that stands where a command should be; empty if there is a command, or no word.
std::string unknown_command(const CLI::App& app) {
  if (!app.get_subcommands().empty()) return {};
  for (const std::string& word : app.remaining())
    if (!word.starts_with('-')) return word;
  return {};
}

}  // namespace

int run_app(int argc, char** argv, std::ostream& out, std::ostream& err) {
  CLI::App app{
      "Tells what a container host's storage really is, chooses the best storage driver for it,\n"
      "and moves images and containers from one storage driver to another.",
      "drover"};
  Context context{out, err};
  app.set_version_flag("--version", version_text(), "print the version and those of the linked libraries");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kExitCodes);
  app.add_option("--data-root", context.data_root,
                 "the engine's data root (default: found as the engine does)");
  app.add_option("--config", context.config,
                 "the engine's configuration file (default: /etc/docker/daemon.json)");
  std::string format = "table";
  app.add_option("--format", format, "of results: table or json; of layers also dot or svg")
      ->check(CLI::IsMember({"table", "json", "dot", "svg"}));
  app.add_option("--progress", context.progress, "auto, plain, tty, none or json")
      ->check(CLI::IsMember({"auto", "plain", "tty", "none", "json"}));
  app.add_flag("-y,--yes", context.yes, "do not ask");
  bool quiet = false, verbose = false;
  app.add_flag("-q,--quiet", quiet, "print warnings and errors only");
  app.add_flag("-v,--verbose", verbose, "print each step");
  app.parse_complete_callback([&] {
    context.json = format == "json";
    if (format == "dot" || format == "svg") context.picture = format;
    if (!context.picture.empty() && !app.got_subcommand("layers"))
      throw CLI::ValidationError("--format", format + " is for `drover layers` only");
    set_log_level(quiet ? LogLevel::quiet : verbose ? LogLevel::verbose : LogLevel::normal);
  });
  add_info(app, context);
  add_select(app, context);
  add_migrate(app, context);
  add_rollback(app, context);
  add_commit(app, context);
  add_verify(app, context);
  add_layers(app, context);
  add_export(app, context);
  add_import(app, context);
  try {
    app.parse(argc, argv);
    return context.exit_code;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e, out, err);
    std::string unknown = unknown_command(app);
    err << "drover: " << (unknown.empty() ? e.what() : "there is no command `" + printable(unknown) + "`")
        << "\nhint: see drover --help\n";
    return static_cast<int>(ExitCode::usage);
  } catch (const Error& e) {
    err << "drover: " << e.what() << "\n";
    std::string hint = e.hint();
    // What has begun to change something says itself how to go on.
    if (hint.empty() && e.code() == ExitCode::interrupted) hint = "nothing was changed; run it again";
    if (!hint.empty()) err << "hint: " << hint << "\n";
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    // No memory, no threads left: nothing that a command could name better.
    err << "drover: " << e.what() << "\nhint: `drover info` tells what state the data root is in\n";
    return static_cast<int>(ExitCode::failed);
  }
}

}  // namespace drover
