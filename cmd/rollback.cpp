#include <CLI/CLI.hpp>
#include <ostream>

#include "cmd/commands.hpp"
#include "cmd/confirm.hpp"
#include "cmd/context.hpp"
#include "cmd/store_access.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/preflight.hpp"
#include "migrate/way_back.hpp"

namespace drover {

namespace {

std::string joined(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 10;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kMost; ++i) text += (i ? ", " : "") + printable(names[i]);
  if (names.size() > kMost) text += " and " + std::to_string(names.size() - kMost) + " more";
  return text;
}

void say_what_is_given_up(Context& context, const MigrationFolder& folder, const MadeSince& made) {
  const MigrationRecord& record = folder.record();
  if (folder.state() == MigrationState::ended) {
    context.err << "What an ended migration has left is removed.\n";
    return;
  }
  if (folder.state() == MigrationState::staging) {
    context.err << "The migration to " << driver_name(record.to) << " is given up and its copy removed; "
                << driver_name(record.from) << " was never touched.\n";
    return;
  }
  context.err << "The data root goes back to " << driver_name(record.from)
              << " as it was before the migration; what was changed under " << driver_name(record.to)
              << " since is given up.\n";
  if (!made.containers.empty()) context.err << "Containers made since: " << joined(made.containers) << "\n";
  if (!made.images.empty()) context.err << "Images made since: " << joined(made.images) << "\n";
}

int run_rollback(Context& context) {
  StoreAccess store = find_store(context);
  Dir dir = open_data_root_for_change(store.root);
  EngineLock lock = EngineLock::take(store.root.path);
  auto folder = MigrationFolder::find(dir);
  if (!folder)
    throw Error("there is no migration in `" + store.root.path + "` to roll back",
                "`drover info` tells what is there; after `drover commit` there is no way back but another "
                "migration");
  MigrationRecord record = folder->record();
  say_what_is_given_up(context, *folder, made_since_switch(store.root, *folder));
  if (!confirm(context)) {
    context.err << "nothing was changed\n";
    return static_cast<int>(ExitCode::failed);
  }
  refuse_mounts(store.root, record.from, record.to);
  roll_back(dir, *folder);
  context.out << "rolled back to " << driver_name(record.from) << "; start the engine\n";
  return static_cast<int>(ExitCode::done);
}

}  // namespace

void add_rollback(CLI::App& app, Context& context) {
  CLI::App* cmd = app.add_subcommand("rollback", "give a migration up: the old setup as it was");
  cmd->callback([&context] { context.exit_code = run_rollback(context); });
}

}  // namespace drover
