#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "cmd/commands.hpp"
#include "cmd/confirm.hpp"
#include "cmd/context.hpp"
#include "cmd/store_access.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/own_config.hpp"
#include "migrate/preflight.hpp"
#include "migrate/way_back.hpp"

namespace drover {

namespace {

// Takes no engine's lock: what was put aside is of no use to the engine, which may go on.
int run_commit(Context& context, bool discard_left_behind) {
  catch_interrupts();
  StoreAccess store = find_store_as_root(context);
  Dir dir = open_data_root_for_change(store.root);
  auto folder = MigrationFolder::find(dir);
  if (!folder)
    throw Error("there is no migration in `" + store.root.path + "` to commit",
                "`drover info` tells what is there");
  if (folder->state() == MigrationState::ended) {
    folder->end();
    context.out << "removed what an ended migration had left\n";
    return static_cast<int>(ExitCode::done);
  }
  if (folder->record().import)
    refuse_open_migration({folder->id(), folder->record(), folder->state()}, store.root.path);
  settle_config(dir, *folder, context.config);
  require_committable(store.root, *folder, discard_left_behind);
  std::string from(driver_name(folder->record().from));
  const std::optional<RootMove> move = folder->record().move;
  log_note("this is deleted, and after that there is no rollback: " + deleted_by_commit(*folder));
  if (!confirm(context)) return declined();
  // The answer may have taken its time.
  if (!context.yes) require_committable(store.root, *folder, discard_left_behind);
  commit(*folder);
  if (log_level() != LogLevel::quiet && move)
    context.out << "deleted the old data in " << move->from_root << "; the folder itself stays\n";
  else if (log_level() != LogLevel::quiet)
    context.out << "deleted the old data of " << from << "\n";
  return static_cast<int>(ExitCode::done);
}

}  // namespace

void add_commit(CLI::App& app, Context& context) {
  CLI::App* cmd = app.add_subcommand("commit", "accept a finished migration: delete the old data");
  auto discard = std::make_shared<bool>(false);
  cmd->add_flag(
      "--discard-left-behind", *discard,
      "delete also what `drover migrate --keep-going` has left behind: it is in the old data alone");
  cmd->callback([discard, &context] { context.exit_code = run_commit(context, *discard); });
}

}  // namespace drover
