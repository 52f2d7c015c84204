#include "migrate/migrate.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "cmd/commands.hpp"
#include "cmd/confirm.hpp"
#include "cmd/context.hpp"
#include "cmd/migrate_report.hpp"
#include "cmd/progress.hpp"
#include "cmd/render.hpp"
#include "cmd/store_access.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/size_text.hpp"
#include "migrate/config_file.hpp"
#include "migrate/own_config.hpp"
#include "migrate/root_switch.hpp"

namespace drover {

namespace {

struct MigrateFlags {
  std::string to, from, to_root;
  std::vector<std::string> storage_opts;
  bool dry_run = false, resume = false, force = false, keep_going = false, offline = false,
       yes_loop_lvm = false, renames = false, no_proof = false;
  unsigned threads = 1;
};

MigrateOptions options_of(const MigrateFlags& flags) {
  if (flags.to.empty() && flags.to_root.empty())
    throw Error(ExitCode::usage, "there is no driver to move to",
                "name it: --to DRIVER; `drover select` tells which is best here");
  MigrateOptions options;
  if (!flags.to.empty()) options.to = require_driver(flags.to);
  if (!flags.to_root.empty()) options.to_root = flags.to_root;
  if (!flags.from.empty()) options.from = require_driver(flags.from);
  options.storage_opts = flags.storage_opts;
  options.force = flags.force;
  options.renames = flags.renames;
  options.keep_going = flags.keep_going;
  options.threads = flags.threads;
  options.offline = flags.offline;
  options.yes_loop_lvm = flags.yes_loop_lvm;
  return options;
}

void require_room(const Plan& plan) {
  if (plan.fits()) return;
  bool bytes = plan.needed_bytes > plan.free_bytes;
  throw Error(bytes ? "not enough space on " + plan.place + ": up to " + human_size(plan.needed_bytes) +
                          " is needed, " + human_size(plan.free_bytes) + " is free"
                    : "not enough inodes on " + plan.place + ": up to " + human_count(plan.needed_inodes) +
                          " are needed, " + human_count(plan.free_inodes) + " are free",
              "nothing was changed; make room, or choose a driver that shares what layers have in common: "
              "drover select --explain");
}

int finish(Context& context, const MigrationResult& result) {
  if (context.json || log_level() != LogLevel::quiet) print_result(context, result);
  if (result.left_unknown)
    log_warning(
        "the record of what was left behind is missing or damaged: `drover commit` will delete nothing");
  bool all = result.damaged.empty() && result.left.empty() && !result.left_unknown;
  return static_cast<int>(all ? ExitCode::done : ExitCode::partial);
}

int run_new(const MigrateFlags& flags, Context& context) {
  MigrateOptions options = options_of(flags);
  StoreAccess store = find_store_as_root(context);
  Dir dir = open_data_root_for_change(store.root);
  std::optional<EngineLock> lock;
  if (!flags.dry_run)
    lock = EngineLock::take(store.root.path);
  else if (EngineLock::held(store.root.path))
    log_warning("an engine is running on `" + store.root.path +
                "`: the plan may be out of date when it stops");
  if (auto open = find_open_migration(dir)) refuse_open_migration(*open, store.root.path);
  catch_interrupts();
  Preflight found = check_migration(store.root, store.config, options);
  if (flags.dry_run || (!context.json && log_level() != LogLevel::quiet))
    print_plan(context, store.root, found, ConfigFile(store.config.config_path).diff(found.new_config),
               flags.no_proof);
  require_room(found.plan);
  if (flags.dry_run) return static_cast<int>(ExitCode::done);
  if (!confirm(context)) return declined();
  MigrationRecord record{.from = found.from,
                         .to = found.plan.to,
                         .config_path = ConfigFile(store.config.config_path).path(),
                         .storage_opts = options.storage_opts,
                         .from_home = found.from_home,
                         .to_home = found.to_home,
                         .force = options.force,
                         .keep_going = options.keep_going,
                         .move = found.move,
                         .renames = options.renames,
                         .no_proof = flags.no_proof};
  auto progress = make_progress(context);
  MigrationResult result = run_migration(store.root, record, found, flags.threads, *progress);
  progress.reset();
  return finish(context, result);
}

/// The checks of a migration that has begun already, with what it was begun with.
MigrationResult resume_staging(const DataRoot& root, MigrationFolder& folder, unsigned threads,
                               Progress& progress) {
  const MigrationRecord& record = folder.record();
  MigrateOptions options{.to = record.to,
                         .from = record.from,
                         .to_root = std::nullopt,
                         .move = record.move,
                         .storage_opts = record.storage_opts,
                         .force = record.force,
                         .renames = record.renames,
                         .keep_going = record.keep_going,
                         .threads = threads,
                         .offline = record.from_home.offline,
                         .yes_loop_lvm = true};
  EngineConfig config = read_engine_config(record.config_path);
  Preflight found = check_migration(root, config, options);
  return resume_migration(root, folder, found, threads, progress);
}

int run_resume(const MigrateFlags& flags, Context& context) {
  StoreAccess store = find_store_as_root(context);
  Dir dir = open_data_root_for_change(store.root);
  EngineLock lock = EngineLock::take(store.root.path);
  auto folder = MigrationFolder::find(dir);
  if (!folder || folder->state() == MigrationState::ended)
    throw Error("there is no migration to resume in `" + store.root.path + "`",
                "begin one: drover migrate --to DRIVER");
  if (folder->record().import)
    refuse_open_migration({folder->id(), folder->record(), folder->state()}, store.root.path);
  settle_config(dir, *folder, context.config);
  std::optional<EngineLock> other = lock_other_root(folder->record(), store.root.path);
  correct_state(dir, *folder);
  back_to_staging(dir, *folder);
  MigrationState state = folder->state();
  const MigrationRecord record = folder->record();
  if (state != MigrationState::staging && state != MigrationState::switching)
    refuse_open_migration({folder->id(), record, state}, store.root.path);
  if (!flags.to.empty() && require_driver(flags.to) != record.to)
    throw Error(ExitCode::usage,
                "the migration in `" + store.root.path + "` is one to " + std::string(driver_name(record.to)),
                "leave --to out, or give that one up first: drover rollback");
  log_note("a migration " + describe(record) + " was interrupted while " + std::string(state_name(state)) +
           ": going on with it");
  if (!confirm(context)) return declined();
  if (!record.move) refuse_mounts(store.root, record.from, record.to);
  catch_interrupts();
  auto progress = make_progress(context);
  MigrationResult result;
  if (state == MigrationState::staging) {
    result = resume_staging(root_of(record, store.root), *folder, flags.threads, *progress);
  } else {
    result = resume_switch(store.root, *folder);
  }
  progress.reset();
  return finish(context, result);
}

}  // namespace

void add_migrate(CLI::App& app, Context& context) {
  auto flags = std::make_shared<MigrateFlags>();
  CLI::App* cmd = app.add_subcommand("migrate",
                                     "move all images and containers to another storage driver, or all there "
                                     "is into another data root, prove\n"
                                     "the copy, and switch");
  cmd->add_option("--to", flags->to, "the driver to move to (with --to-root: default: as it is)");
  auto* to_root =
      cmd->add_option("--to-root", flags->to_root,
                      "a new data root, on another filesystem say: volumes, networks and all else "
                      "move there, too")
          ->type_name("DIR");
  cmd->add_option("--from", flags->from, "the driver to move from (default: the engine's current one)");
  cmd->add_option("--storage-opt", flags->storage_opts,
                  "an option for the new driver, KEY=VALUE; may be repeated")
      ->allow_extra_args(false);
  cmd->add_flag("--dry-run", flags->dry_run, "print the plan and change nothing");
  cmd->add_flag("--force", flags->force,
                "also to a driver that the installed engine or kernel does not have; also layers that are "
                "damaged in the source already, as they are");
  cmd->add_flag(
      "--keep-going", flags->keep_going,
      "leave behind what is damaged in the source, and what needs it, and move all else: exit code 3; "
      "the old data keeps it");
  auto* renames = cmd->add_flag(
      "--move", flags->renames,
      "rename the layers into the new home instead of copying them: no room, little time, and one copy; a\n"
      "rollback brings the old driver back, with what containers have written since. Among overlay2,\n"
      "fuse-overlayfs and aufs");
  renames->excludes(to_root);
  auto* no_proof = cmd->add_flag("--no-proof", flags->no_proof,
                                 "do not read back what was carried: `drover verify` still can");
  auto* resume = cmd->add_flag("--resume", flags->resume, "go on with a migration that was interrupted");
  resume->excludes("--dry-run")->excludes("--from")->excludes("--storage-opt")->excludes("--force");
  resume->excludes("--keep-going");
  resume->excludes(renames)->excludes(no_proof);
  resume->excludes(to_root);
  resume->excludes(add_offline_option(*cmd, flags->offline));
  cmd->add_flag("--yes-loop-lvm", flags->yes_loop_lvm,
                "to devicemapper without a thin pool of its own: on loop files, slow as they are");
  add_jobs_option(*cmd, flags->threads);
  cmd->callback([flags, &context] {
    context.exit_code = flags->resume ? run_resume(*flags, context) : run_new(*flags, context);
  });
}

}  // namespace drover
