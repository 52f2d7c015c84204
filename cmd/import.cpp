#include "migrate/archive/import.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cmd/commands.hpp"
#include "cmd/confirm.hpp"
#include "cmd/context.hpp"
#include "cmd/progress.hpp"
#include "cmd/render.hpp"
#include "cmd/store_access.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/archive/import_root.hpp"
#include "migrate/config_file.hpp"
#include "migrate/preflight.hpp"

namespace drover {

namespace {

struct ImportFlags {
  std::string input = "-", to, on_conflict = "refuse";
  bool resume = false, force = false, dry_run = false;
  unsigned threads = 1;
};

OnConflict conflict_choice(const std::string& word) {
  if (word == "skip") return OnConflict::skip;
  if (word == "rename") return OnConflict::rename;
  return word == "replace" ? OnConflict::replace : OnConflict::refuse;
}

Fd open_input(const std::string& path) {
  if (path != "-") {
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) throw_errno("cannot read `" + path + "`");
    return fd;
  }
  if (::isatty(STDIN_FILENO) == 1)
    throw Error(ExitCode::usage, "an archive is not read from a terminal",
                "name a file with -i, or send it in: ... | drover import");
  return Fd(::dup(STDIN_FILENO));
}

std::string images_and_containers(const ImportSummary& summary) {
  return human_count(summary.images) + " images and " + human_count(summary.containers) + " containers";
}

std::string layer_counts(const ImportSummary& summary) {
  return human_count(summary.new_layers) + " new layers, " + human_count(summary.shared_layers) +
         " that were there";
}

void print_summary(Context& context, const DataRoot& root, DriverKind to, const ImportSummary& summary) {
  nlohmann::ordered_json json{{"schema", 1}, {"data_root", root.path}, {"driver", driver_name(to)}};
  json.update(import_summary_json(summary));
  print_json(context.out, json);
}

/// What will be done, before it is; asks where something is deleted for good.
bool approve(const ImportFlags& flags, Context& context, const DataRoot& root, DriverKind to,
             const ImportSummary& summary) {
  for (const std::string& note : summary.notes) log_note(note);
  if (flags.dry_run) {
    if (context.json)
      print_summary(context, root, to, summary);
    else
      context.out << "would import " << images_and_containers(summary) << " into " << driver_name(to)
                  << " in " << root.path << ": " << layer_counts(summary) << "\n";
    return false;
  }
  if (summary.deletes.empty()) return true;
  std::string names;
  for (const std::string& name : summary.deletes) names += (names.empty() ? "" : ", ") + name;
  log_note("these containers are deleted, and there is no way back: " + names);
  return confirm(context);
}

int finish(Context& context, const DataRoot& root, const StoreAccess& store, DriverKind to,
           const ImportSummary& summary) {
  CurrentDriver current = find_current_driver(root, store.config);
  if (current.name != driver_name(to))
    log_warning("the engine does not use " + std::string(driver_name(to)) + " but " +
                (current.name.empty() ? "nothing" : current.name) + " (" + current.source +
                "): it will not show what was imported; see drover select");
  if (context.json)
    print_summary(context, root, to, summary);
  else if (log_level() != LogLevel::quiet)
    context.out << "imported " << images_and_containers(summary) << " into " << driver_name(to) << " in "
                << root.path << ": " << layer_counts(summary) << "; start the engine\n";
  return static_cast<int>(ExitCode::done);
}

int run_resume(const ImportFlags& flags, Context& context) {
  StoreAccess store = find_store_as_root(context);
  Dir dir = open_data_root_for_change(store.root);
  EngineLock lock = EngineLock::take(store.root.path);
  auto folder = MigrationFolder::find(dir);
  if (!folder || folder->state() == MigrationState::ended || !folder->record().import) {
    if (folder && folder->state() != MigrationState::ended)
      refuse_open_migration({folder->id(), folder->record(), folder->state()}, store.root.path);
    throw Error("there is no import to resume in `" + store.root.path + "`",
                "begin one: drover import -i FILE");
  }
  refuse_mounts(store.root, folder->record().to, folder->record().to);
  catch_interrupts();
  auto progress = make_progress(context);
  DriverKind to = folder->record().to;
  ImportSummary summary = resume_import(store.root, *folder, flags.threads, *progress);
  progress.reset();
  for (const std::string& note : summary.notes) log_note(note);
  return finish(context, store.root, store, to, summary);
}

int run_import(const ImportFlags& flags, Context& context) {
  if (flags.resume) return run_resume(flags, context);
  StoreAccess store = find_store_as_root(context);
  if (flags.on_conflict == "replace" && !flags.dry_run) require_answer(context);
  Fd input = open_input(flags.input);
  if (store.root.owner.uid != 0)
    throw Error("`" + store.root.path +
                    "` is the data root of a user namespace (userns-remap), whose files have "
                    "other owners than an archive says",
                "nothing was changed; images go in with `docker load`");
  catch_interrupts();
  NewRoot made(store.root);
  DataRoot root = find_data_root(store.root.path, store.config);
  if (auto open = find_open_migration(Dir::open(root.path))) refuse_open_migration(*open, root.path);
  ImportOptions options;
  options.to =
      flags.to.empty() ? require_current_driver(root, store.config, "--to") : require_driver(flags.to);
  options.settings = {root.owner, storage_opts_in_force(store.config), false};
  options.config_path = ConfigFile(store.config.config_path).path();
  options.on_conflict = conflict_choice(flags.on_conflict);
  options.threads = flags.threads;
  require_importable(root, options.to, options.settings, flags.force);
  refuse_mounts(root, options.to, options.to);
  FdSource source(input.get(), flags.input == "-" ? "standard input" : "`" + flags.input + "`");
  auto progress = make_progress(context);
  options.approve = [&](const ImportSummary& summary) {
    progress->pause();
    return approve(flags, context, root, options.to, summary);
  };
  try {
    auto summary = import_archive(root, source, options, *progress);
    progress.reset();
    if (!summary && flags.dry_run) return static_cast<int>(ExitCode::done);
    if (!summary) return declined();
    made.keep();
    return finish(context, root, store, options.to, *summary);
  } catch (...) {
    // What is left open is gone on with here.
    if (find_open_migration(Dir::open(root.path))) made.keep();
    throw;
  }
}

}  // namespace

void add_import(CLI::App& app, Context& context) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* cmd = app.add_subcommand(
      "import", "put an archive of `drover export`, `docker save` or an OCI layout into a data root");
  cmd->add_option("-i,--input", flags->input, "a file (default: standard input)");
  auto* to = cmd->add_option("--to", flags->to, "the driver (default: the engine's current one)");
  auto* conflict =
      cmd->add_option("--on-conflict", flags->on_conflict,
                      "what to do with a tag that is another image there, or a container whose name or "
                      "ID is there: refuse (default), skip, rename, or replace, which deletes that container")
          ->check(CLI::IsMember({"refuse", "skip", "rename", "replace"}));
  cmd->add_flag("--force", flags->force,
                "also for a driver that the installed engine or kernel does not have");
  auto* dry_run = cmd->add_flag("--dry-run", flags->dry_run,
                                "read and check all of the archive, say what would be done, and undo that");
  auto* resume = cmd->add_flag("--resume", flags->resume, "go on with an import that was interrupted");
  resume->excludes(to)->excludes(conflict)->excludes("--input")->excludes("--force")->excludes(dry_run);
  add_jobs_option(*cmd, flags->threads);
  cmd->callback([flags, &context] { context.exit_code = run_import(*flags, context); });
}

}  // namespace drover
