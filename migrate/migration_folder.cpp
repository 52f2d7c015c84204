#include "migrate/migration_folder.hpp"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr const char* kFolder = "drover";
constexpr const char* kPlan = "plan.json";
constexpr const char* kJournal = "journal";
constexpr std::size_t kPlanLimit = 1 << 20;
constexpr int kVersion = 2;  // of what the folder holds and where

using Json = nlohmann::ordered_json;

Json settings_json(const HomeSettings& settings) {
  return {{"uid", settings.owner.uid},
          {"gid", settings.owner.gid},
          {"storage_opts", settings.storage_opts},
          {"offline", settings.offline}};
}

std::vector<std::string> strings_in(const Json& json, const char* key) {
  std::vector<std::string> strings;
  auto found = json.find(key);
  if (found != json.end() && found->is_array())
    for (const Json& item : *found)
      if (item.is_string()) strings.push_back(item.get<std::string>());
  return strings;
}

HomeSettings parse_settings(const Json& json, const char* key) {
  auto found = json.find(key);
  if (found == json.end() || !found->is_object()) throw Error("is damaged");
  HomeSettings settings;
  auto id = [&](const char* which) -> uid_t {
    auto number = found->find(which);
    if (number == found->end() || !number->is_number_unsigned() || *number > UINT32_MAX)
      throw Error("is damaged");
    return number->get<uid_t>();
  };
  settings.owner = {id("uid"), id("gid")};
  settings.storage_opts = strings_in(*found, "storage_opts");
  settings.offline = found->value("offline", Json(false)) == Json(true);
  return settings;
}

std::string text_of(const MigrationRecord& record) {
  Json json{{"version", kVersion},
            {"from", driver_name(record.from)},
            {"to", driver_name(record.to)},
            {"config", record.config_path},
            {"storage_opts", record.storage_opts},
            {"from_home", settings_json(record.from_home)},
            {"to_home", settings_json(record.to_home)},
            {"force", record.force}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

MigrationRecord parse_record(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  auto string_at = [&](const char* key) -> std::string {
    auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : "";
  };
  if (!json.is_object() || json.value("version", Json()) != kVersion)
    throw Error("is of another version of drover");
  const DriverEntry *from = find_driver(string_at("from")), *to = find_driver(string_at("to"));
  MigrationRecord record;
  record.config_path = string_at("config");
  if (!from || !to || !record.config_path.starts_with('/')) throw Error("is damaged");
  record.from = from->kind;
  record.to = to->kind;
  record.storage_opts = strings_in(json, "storage_opts");
  record.from_home = parse_settings(json, "from_home");
  record.to_home = parse_settings(json, "to_home");
  record.force = json.value("force", Json()) == true;
  return record;
}

/// What one folder below `drover/` holds. A folder whose migration never began, or is over, is `ended`.
struct Found {
  std::string id;
  Dir dir;
  JournalContent journal;
  MigrationState state() const { return journal.state.value_or(MigrationState::ended); }
};

MigrationRecord read_record(const Dir& dir) {
  auto text = dir.try_read(kPlan, kPlanLimit);
  try {
    if (!text) throw Error("is missing");
    return parse_record(*text);
  } catch (const SystemError&) {
    throw;
  } catch (const Error& e) {
    throw Error("`" + dir.path_of(kPlan) + "` " + e.what(),
                "a migration is open in this data root, and this file says what it is about");
  }
}

/// A folder without a word in its journal is one whose migration was cut before it began, and holds no data;
/// or the journal was lost, and then what is there may be the only copy of something.
void require_never_begun(const Dir& dir) {
  for (const DirEntry& entry : dir.list())
    if (!entry.name.starts_with(kPlan) && !entry.name.starts_with(kJournal) && !entry.name.starts_with("."))
      throw Error("`" + dir.path() + "` holds data, but no journal that says what it is",
                  "restore its journal if it was lost; if it is not drover's, move it elsewhere");
}

/// The open one first; those that have ended after it.
std::vector<Found> read_folders(const Dir& data_root) {
  std::vector<Found> found;
  auto above = data_root.try_sub(kFolder);
  if (!above) return found;
  for (const DirEntry& entry : above->list())
    if (auto dir = above->try_sub(entry.name)) {
      JournalContent journal = Journal::read(*dir);
      if (!journal.state) require_never_begun(*dir);
      found.push_back({entry.name, std::move(*dir), std::move(journal)});
    }
  auto is_open = [](const Found& f) { return f.state() != MigrationState::ended; };
  std::stable_partition(found.begin(), found.end(), is_open);
  if (found.size() > 1 && is_open(found[1]))
    throw Error(
        "there are two open migrations in `" + above->path() + "`: " + found[0].id + " and " + found[1].id,
        "only one of them can be drover's: move the other one elsewhere");
  return found;
}

void lock(const Dir& dir) {
  if (::flock(dir.fd(), LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK)
    throw Error(ExitCode::in_use, "another drover is at work in `" + dir.path() + "`", "let it end first");
  throw_errno("cannot lock `" + dir.path() + "`");
}

/// "20261124-172107-overlay2-to-vfs"
std::string new_id(const MigrationRecord& record) {
  char time[32];
  std::time_t now = std::time(nullptr);
  std::tm utc{};
  std::strftime(time, sizeof time, "%Y%m%d-%H%M%S", ::gmtime_r(&now, &utc));
  return std::string(time) + "-" + std::string(driver_name(record.from)) + "-to-" +
         std::string(driver_name(record.to));
}

}  // namespace

std::optional<OpenMigration> find_open_migration(const Dir& data_root) {
  auto folders = read_folders(data_root);
  if (folders.empty() || folders[0].state() == MigrationState::ended) return std::nullopt;
  return OpenMigration{folders[0].id, read_record(folders[0].dir), folders[0].state()};
}

std::string next_step(MigrationState state) {
  switch (state) {
    case MigrationState::staging:
    case MigrationState::switching:
      return "`drover migrate --resume` finishes it, `drover rollback` gives it up";
    case MigrationState::switched:
      return "`drover commit` deletes the old data, `drover rollback` goes back to it";
    case MigrationState::rolling_back:
      return "`drover rollback` finishes that";
    case MigrationState::committing:
    case MigrationState::ended:
      break;
  }
  return "`drover commit` finishes that";
}

void refuse_open_migration(const OpenMigration& open, const std::string& data_root) {
  std::string how = open.state == MigrationState::switched
                        ? "the new setup is in place and the old one is kept"
                        : "it was interrupted while " + std::string(state_name(open.state));
  throw Error(ExitCode::in_use,
              "a migration from " + std::string(driver_name(open.record.from)) + " to " +
                  std::string(driver_name(open.record.to)) + " is open in `" + data_root + "`: " + how,
              next_step(open.state));
}

MigrationFolder MigrationFolder::create(const Dir& data_root, const MigrationRecord& record) {
  while (auto left = find(data_root)) {
    if (left->state() != MigrationState::ended)
      refuse_open_migration({left->id(), left->record(), left->state()}, data_root.path());
    left->end();
  }
  Dir above = data_root.make_path(kFolder, 0700);
  std::string id = new_id(record);
  above.make_dir(id, 0700);
  Dir dir = above.sub(id);
  lock(dir);
  dir.write_atomic(kPlan, text_of(record), 0600, ::geteuid(), ::getegid());
  above.sync();
  data_root.sync();
  MigrationFolder folder(data_root, std::move(id), std::move(dir), record);
  folder.set_state(MigrationState::staging);
  return folder;
}

std::optional<MigrationFolder> MigrationFolder::find(const Dir& data_root) {
  auto folders = read_folders(data_root);
  if (folders.empty()) {
    // An empty drover/ is what a cut between the last two steps of end() leaves.
    if (auto above = data_root.try_sub(kFolder); above && above->list().empty())
      data_root.remove_dir(kFolder);
    return std::nullopt;
  }
  Found& first = folders[0];
  lock(first.dir);
  // Read again: it may have gone on, or away, before the lock was ours.
  if (first.dir.stat().st_nlink == 0) return find(data_root);
  first.journal = Journal::read(first.dir);
  std::optional<MigrationRecord> record;
  if (first.state() != MigrationState::ended || first.dir.exists(kPlan)) record = read_record(first.dir);
  MigrationFolder folder(data_root, first.id, std::move(first.dir), record.value_or(MigrationRecord{}));
  folder.state_ = first.state();
  folder.journal_content_ = std::move(first.journal);
  return folder;
}

void MigrationFolder::set_state(MigrationState state) {
  journal_.state(state);
  state_ = state;
}

void MigrationFolder::remove_content() {
  if (!dir_.exists(kPlan)) return;
  auto remove_home = [](DriverKind kind, const std::string& path, const HomeSettings& settings) {
    if (auto open = driver_entry(kind).open) open(path, settings)->remove_home();
  };
  remove_home(record_.to, home_path(), record_.to_home);
  if (dir_.try_sub("kept")) remove_home(record_.from, kept_home_path(), record_.from_home);
  for (const DirEntry& entry : dir_.list())
    if (entry.name != kJournal && entry.name != kPlan) dir_.remove_tree(entry.name);
}

void MigrationFolder::end() {
  if (state_ != MigrationState::ended) set_state(MigrationState::ended);
  remove_content();
  // The journal goes last, so that a cut leaves a folder that says of itself that it has ended.
  if (dir_.exists(kPlan)) dir_.unlink(kPlan);
  Dir above = root_.sub(kFolder);
  above.remove_tree(id_);
  if (above.list().empty()) root_.remove_dir(kFolder);
  root_.sync();
}

}  // namespace drover
