#include <CLI/CLI.hpp>
#include <ostream>

#include "cmd/commands.hpp"
#include "cmd/confirm.hpp"
#include "cmd/context.hpp"
#include "cmd/store_access.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/archive/import.hpp"
#include "migrate/made_since.hpp"
#include "migrate/migrate.hpp"
#include "migrate/own_config.hpp"
#include "migrate/preflight.hpp"
#include "migrate/root_switch.hpp"
#include "migrate/way_back.hpp"

namespace drover {

namespace {

std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 10;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kMost; ++i) text += (i ? ", " : "") + printable(names[i]);
  if (names.size() > kMost) text += " and " + std::to_string(names.size() - kMost) + " more";
  return text;
}

void say_what_is_given_up(const MigrationFolder& folder, const MadeSince& made) {
  std::string from(driver_name(folder.record().from)), to(driver_name(folder.record().to));
  if (folder.state() == MigrationState::staging)
    return log_note("the migration " + describe(folder.record()) + " is given up and its copy removed; " +
                    (folder.record().move ? "the old root" : from) + " was never touched");
  if (folder.record().move) {
    const RootMove& move = *folder.record().move;
    log_note("the engine goes back to `" + move.from_root +
             "` as it was before the migration; what was changed in `" + move.to_root +
             "` since, in volumes too, is given up");
    if (!made.volumes.empty()) log_note("volumes made since: " + some_of(made.volumes));
  } else if (folder.record().renames) {
    log_note("the data root goes back to " + from +
             ", and its layers were renamed: containers come back with "
             "what they have written since, and without what was removed since; new containers, images and "
             "build cache are given up");
  } else {
    log_note("the data root goes back to " + from +
             " as it was before the migration; what was changed under " + to +
             " since is given up, and so is build cache made since");
  }
  if (!made.containers.empty()) log_note("containers made since: " + some_of(made.containers));
  if (!made.images.empty()) log_note("images made since: " + some_of(made.images));
  if (!made.tags.empty()) log_note("tags made since: " + some_of(made.tags));
  if (!made.removed.empty())
    log_note("removed since, and back only where all their layers are still there: " + some_of(made.removed));
}

/// Not knowing that must not be in the way of going back.
MadeSince try_made_since(const DataRoot& root, const MigrationFolder& folder) {
  try {
    return made_since_switch(root, folder);
  } catch (const Error& e) {
    if (e.code() == ExitCode::interrupted) throw;
    log_warning(std::string("cannot tell what was made since the switch: ") + e.what());
    return {};
  }
}

int roll_back_an_import(const DataRoot& root, MigrationFolder& folder, Context& context) {
  require_reversible(folder);
  refuse_mounts(root, folder.record().to, folder.record().to);
  log_note("an import is open; given up, it leaves the data root as it was before it");
  if (folder.state() == MigrationState::switching)
    log_note("what was written to imported containers since is given up");
  if (!confirm(context)) return declined();
  roll_back_import(root, folder);
  if (log_level() != LogLevel::quiet) context.out << "rolled back; start the engine\n";
  return static_cast<int>(ExitCode::done);
}

int run_rollback(Context& context) {
  catch_interrupts();
  StoreAccess store = find_store_as_root(context);
  Dir dir = open_data_root_for_change(store.root);
  EngineLock lock = EngineLock::take(store.root.path);
  auto folder = MigrationFolder::find(dir);
  if (!folder)
    throw Error("there is no migration in `" + store.root.path + "` to roll back",
                "`drover info` tells what is there; after `drover commit` there is no way back but another "
                "migration");
  if (folder->state() == MigrationState::ended) {
    folder->end();
    context.out << "removed what an ended migration had left\n";
    return static_cast<int>(ExitCode::done);
  }
  MigrationRecord record = folder->record();
  if (record.import) return roll_back_an_import(store.root, *folder, context);
  settle_config(dir, *folder, context.config);
  std::optional<EngineLock> other = lock_other_root(record, store.root.path);
  refuse_running_containers(dir);
  // Whichever root it was found from, they may run on the other one.
  if (record.move)
    for (const std::string& root : {record.move->from_root, record.move->to_root})
      if (auto there = Dir::try_open(root)) refuse_running_containers(*there);
  correct_state(dir, *folder);
  say_what_is_given_up(*folder, try_made_since(store.root, *folder));
  if (!confirm(context)) return declined();
  if (!record.move) refuse_mounts(store.root, record.from, record.to);
  roll_back(dir, *folder);
  std::string back = record.move ? record.move->from_root : std::string(driver_name(record.from));
  if (log_level() != LogLevel::quiet) context.out << "rolled back to " << back << "; start the engine\n";
  return static_cast<int>(ExitCode::done);
}

}  // namespace

void add_rollback(CLI::App& app, Context& context) {
  CLI::App* cmd =
      app.add_subcommand("rollback",
                         "give a migration or an import up: the old setup as it was; after --move with what "
                         "containers have written since");
  cmd->callback([&context] { context.exit_code = run_rollback(context); });
}

}  // namespace drover
