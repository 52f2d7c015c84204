#include "migrate/migration_folder.hpp"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "drivers/attributes.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/layer_renames.hpp"
#include "migrate/left_behind_record.hpp"
#include "migrate/nested_paths.hpp"
#include "migrate/next_step.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

constexpr const char* kPlan = "plan.json";
constexpr const char* kJournal = "journal";
constexpr std::size_t kPlanLimit = 1 << 20;

/// What one folder below `drover/` holds. A folder whose migration never began, or is over, is `ended`.
struct Found {
  std::string id;
  Dir dir;
  JournalContent journal;
  std::optional<Dir> root = std::nullopt;     ///< the data root that it is in, if that is another one
  std::optional<Dir> pointer = std::nullopt;  ///< what led there
  MigrationState state() const { return journal.state.value_or(MigrationState::ended); }
};

MigrationRecord read_record(const Dir& dir, bool* is_pointer = nullptr) {
  bool ignored = false;
  try {
    store::RecordFile file = store::read_record_file(dir, kPlan, kPlanLimit);
    if (!file.text) throw Error(file.wrong);
    return parse_record(*file.text, is_pointer ? *is_pointer : ignored);
  } catch (const SystemError&) {
    throw;
  } catch (const Error& e) {
    throw Error("`" + dir.path_of(kPlan) + "` " + e.what(),
                "it says what the migration is about that is open here: restore it, or go back by hand as "
                "docs/safety.md tells. Nothing was changed");
  }
}

bool holds_data(const Dir& dir) {
  for (const DirEntry& entry : dir.list())
    if (!entry.name.starts_with(kPlan) && !entry.name.starts_with(kJournal) && !entry.name.starts_with("."))
      return true;
  return false;
}

/// A folder without a word in its journal is one whose migration was cut before it began, and holds no data;
/// or the journal was lost, and then what is there may be the only copy of something.
void require_never_begun(const Dir& dir) {
  if (holds_data(dir))
    throw Error("`" + dir.path() + "` holds data, but no journal that says what it is",
                "restore its journal if it was lost; if it is not drover's, move it elsewhere");
}

std::optional<Dir> folder_in(const std::optional<Dir>& root, const std::string& id) {
  auto above = root ? root->try_sub(kDroverFolder) : std::nullopt;
  return above ? above->try_sub(id) : std::nullopt;
}

/// The old root's part, whose plan goes first. A copy of the new root has a folder of that name, too.
std::optional<Dir> pointer_in(const std::optional<Dir>& root, const std::string& id) {
  auto dir = folder_in(root, id);
  bool is_pointer = true;
  if (dir && dir->exists(kPlan)) read_record(*dir, &is_pointer);
  return is_pointer ? std::move(dir) : std::nullopt;
}

/// Of a migration into another root the part there says that it stages, and then the pointer does; nothing is
/// staged before both do. Cut in between, it never began.
JournalContent read_journal(const Dir& dir, const std::string& id) {
  JournalContent journal = Journal::read(dir);
  if (journal.state != MigrationState::staging || holds_data(dir)) return journal;
  bool is_pointer = false;
  MigrationRecord record = read_record(dir, &is_pointer);
  if (is_pointer || !record.move) return journal;
  auto pointer = folder_in(Dir::try_open(record.move->from_root), id);
  if (pointer && !Journal::read(*pointer).state) journal.state.reset();
  return journal;
}

/// What a plan is about is known by paths, and it is removed by them: where they do not lead to the data root
/// that the plan was found in, this root is a copy or mounted elsewhere, or the plan is not drover's.
void require_own_root(const Dir& data_root, const std::string& planned, const Dir& folder) {
  if (leads_to(planned, data_root)) return;
  const std::string plan = "`" + folder.path() + "`";
  throw Error("the plan in " + plan + " is about `" + planned + "`, which `" + data_root.path() + "` is not",
              "if this root was mounted there, mount it there again; if it is a copy, or the plan is not "
              "yours, remove " +
                  plan + ". Nothing was changed");
}

/// What is open in an old root is kept in the new one, unless it is the migration itself.
Found follow_pointer(const Dir& data_root, Found at) {
  bool is_pointer = false;
  MigrationRecord record = read_record(at.dir, &is_pointer);
  if (record.move)
    require_own_root(data_root, is_pointer ? record.move->from_root : record.move->to_root, at.dir);
  if (!is_pointer) return at;
  auto root = Dir::try_open(record.move->to_root);
  auto dir = folder_in(root, at.id);
  if (!dir && at.state() == MigrationState::rolling_back) {
    at.journal.state = MigrationState::ended;  // the pointer goes last
    return at;
  }
  std::string place = "`" + record.move->to_root + "/" + kDroverFolder + "/" + at.id + "`";
  if (!dir)
    throw Error("`" + at.dir.path() + "` says that this data root is being moved, and " + place +
                    ", which says how far that is, is not there",
                "is the new root's filesystem mounted? If it is gone for good, this root is as it was, "
                "or what a commit has left that did not see it: remove `" +
                    at.dir.path() + "`, and see that `" + record.config_path + "` names this root");
  Found there{at.id, std::move(*dir), {}, std::move(root), std::move(at.dir)};
  if (there.dir.exists(kPlan)) {
    MigrationRecord main = read_record(there.dir);
    require_own_root(*there.root, main.move ? main.move->to_root : "", there.dir);
  }
  there.journal = Journal::read(there.dir);
  // The last of a rollback: the journal goes before its folder.
  bool is_over = at.state() == MigrationState::rolling_back && !holds_data(there.dir);
  if (!there.journal.state && !is_over)
    throw Error(place + " has no journal that says how far the migration is", "restore its journal");
  return there;
}

/// The open one first; those that have ended after it.
std::vector<Found> read_folders(const Dir& data_root) {
  std::vector<Found> found;
  auto above = data_root.try_sub(kDroverFolder);
  if (!above) return found;
  for (const DirEntry& entry : above->list())
    if (auto dir = above->try_sub(entry.name)) {
      JournalContent journal = read_journal(*dir, entry.name);
      if (!journal.state) require_never_begun(*dir);
      found.push_back({entry.name, std::move(*dir), std::move(journal)});
    }
  auto is_open = [](const Found& f) { return f.state() != MigrationState::ended; };
  std::stable_partition(found.begin(), found.end(), is_open);
  if (found.size() > 1 && is_open(found[1]))
    throw Error(
        "there are two open migrations in `" + above->path() + "`: " + found[0].id + " and " + found[1].id,
        "only one of them can be drover's: move the other one elsewhere");
  if (!found.empty() && is_open(found[0])) found[0] = follow_pointer(data_root, std::move(found[0]));
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
  if (record.import) return std::string(time) + "-import";
  return std::string(time) + "-" + std::string(driver_name(record.from)) + "-to-" +
         std::string(driver_name(record.to));
}

}  // namespace

std::optional<OpenMigration> find_open_migration(const Dir& data_root) {
  auto folders = read_folders(data_root);
  if (folders.empty() || folders[0].state() == MigrationState::ended) return std::nullopt;
  OpenMigration open{folders[0].id, read_record(folders[0].dir), folders[0].state()};
  if (open.record.keep_going) open.left = read_left_behind(folders[0].dir);
  return open;
}

void refuse_open_migration(const OpenMigration& open, const std::string& data_root) {
  if (open.record.import)
    throw Error(ExitCode::in_use,
                "an import is open in `" + data_root + "`: it was interrupted while " +
                    std::string(state_name(open.state)),
                next_step(open.record, open.state));
  std::string how = open.state == MigrationState::switched
                        ? "the new setup is in place and the old one is kept"
                        : "it was interrupted while " + std::string(state_name(open.state));
  throw Error(ExitCode::in_use,
              "a migration " + describe(open.record) + " is open in `" + data_root + "`: " + how,
              next_step(open.state));
}

namespace {

void end_what_is_left(const Dir& data_root) {
  while (auto left = MigrationFolder::find(data_root)) {
    if (left->state() != MigrationState::ended)
      refuse_open_migration({left->id(), left->record(), left->state()}, data_root.path());
    left->end();
  }
}

/// A new folder with its plan. What it is about is begun by the first word in its journal.
Dir make_folder_for(const Dir& data_root, const std::string& id, const std::string& plan) {
  Dir above = data_root.make_path(kDroverFolder, 0700);
  above.make_dir(id, 0700);
  Dir dir = above.sub(id);
  drop_acls(dir);
  lock(dir);
  dir.write_atomic(kPlan, plan, 0600, ::geteuid(), ::getegid());
  above.sync();
  data_root.sync();
  return dir;
}

}  // namespace

MigrationFolder MigrationFolder::create(const Dir& data_root, const MigrationRecord& record) {
  end_what_is_left(data_root);
  std::string id = new_id(record);
  if (record.move) return create_in_new_root(data_root, std::move(id), record);
  Dir dir = make_folder_for(data_root, id, record_text(record));
  MigrationFolder folder(data_root, std::move(id), std::move(dir), record);
  folder.set_state(record.import ? MigrationState::reading : MigrationState::staging);
  return folder;
}

namespace {

/// What a cut, or a refusal, has left of one that never began.
void remove_unbegun(const std::optional<Dir>& root, const std::string& id) {
  if (!root || !root->try_sub(kDroverFolder)) return;
  Dir above = root->sub(kDroverFolder);
  if (auto dir = above.try_sub(id)) {
    if (read_journal(*dir, id).state) return;
    require_never_begun(*dir);
    above.remove_tree(id);
  }
  if (above.list().empty()) root->remove_dir(kDroverFolder);
}

}  // namespace

/// The pointer says nothing before the new root's part is there: cut in between, it is one that never began.
MigrationFolder MigrationFolder::create_in_new_root(const Dir& old_root, std::string id,
                                                    MigrationRecord record) {
  RootMove& move = *record.move;
  if (auto there = Dir::try_open(move.to_root)) end_what_is_left(*there);
  move.made.clear();
  for (const std::string& one : {move.config_root, move.to_root})
    if (::access(one.c_str(), F_OK) != 0 && (move.made.empty() || move.made.back() != one))
      move.made.push_back(one);
  Dir pointer = make_folder_for(old_root, id, record_text(record, true));
  for (const std::string& made : move.made) {
    Dir above = Dir::open(made.substr(0, std::max<std::size_t>(made.rfind('/'), 1)));
    drop_acls(above.make_path(made.substr(made.rfind('/') + 1), 0711));
    above.sync();
  }
  Dir root = Dir::open(move.to_root);
  try {
    // Another old root's migration may be about to begin in there; it is locked as long as this one lives.
    lock(root);
    end_what_is_left(root);
  } catch (const Error&) {
    try {
      remove_unbegun(old_root.clone(), id);
    } catch (const Error& e) {  // the first one says what is to be done; the next drover removes what is left
      log_warning(e.what());
    }
    throw;
  }
  Dir dir = make_folder_for(root, id, record_text(record));
  MigrationFolder folder(root, std::move(id), std::move(dir), std::move(record));
  folder.set_state(MigrationState::staging);
  folder.pointer_ = std::move(pointer);
  folder.mark_pointer(MigrationState::staging);
  return folder;
}

std::optional<MigrationFolder> MigrationFolder::find(const Dir& data_root) {
  auto folders = read_folders(data_root);
  if (folders.empty()) {
    // An empty drover/ is what a cut between the last two steps of end() leaves.
    if (auto above = data_root.try_sub(kDroverFolder); above && above->list().empty())
      data_root.remove_dir(kDroverFolder);
    return std::nullopt;
  }
  Found& first = folders[0];
  lock(first.dir);
  // Read again: it may have gone on, or away, before the lock was ours.
  if (first.dir.stat().st_nlink == 0) return find(data_root);
  MigrationState was = first.state();
  first.journal = read_journal(first.dir, first.id);
  std::optional<MigrationRecord> record;
  bool is_pointer = false;
  if (first.state() != MigrationState::ended || first.dir.exists(kPlan))
    record = read_record(first.dir, &is_pointer);
  // Of one that has ended, and lacks its plan already, the pointer still says what it was about.
  if (!record && first.pointer) record = read_record(*first.pointer);
  if (is_pointer) first.journal.state = was;  // of itself it says only that there is something elsewhere
  MigrationFolder folder(first.root ? *first.root : data_root, first.id, std::move(first.dir),
                         record.value_or(MigrationRecord{}));
  folder.pointer_ = std::move(first.pointer);
  if (record && record->move && !is_pointer && !folder.pointer_)
    folder.pointer_ = pointer_in(open_old_root(*record->move), folder.id_);
  folder.state_ = first.state();
  folder.journal_content_ = std::move(first.journal);
  return folder;
}

void MigrationFolder::mark_pointer(MigrationState state) {
  if (pointer_) Journal::open(*pointer_).state(state);
}

void MigrationFolder::reserve() {
  journal().reserve();
  if (!pointer_) return;
  try {
    Journal::open(*pointer_).reserve();
  } catch (const SystemError& e) {
    if (e.number() != ENOSPC && e.number() != EDQUOT) throw;
  }
}

void MigrationFolder::remove_pointer() {
  bool led_here = pointer_.has_value();
  pointer_.reset();
  auto root = open_old_root(*record_.move);
  auto above = root ? root->try_sub(kDroverFolder) : std::nullopt;
  if (!above) return;
  if (led_here && above->exists(id_)) {
    Dir dir = above->sub(id_);
    Journal::open(dir).state(MigrationState::ended);
    if (dir.exists(kPlan)) dir.unlink(kPlan);
    above->remove_tree(id_);
  }
  // A cut may have left it empty.
  if (above->list().empty()) root->remove_dir(kDroverFolder);
  root->sync();
}

void MigrationFolder::set_state(MigrationState state) {
  journal_.state(state);
  state_ = state;
}

void MigrationFolder::remove_content() {
  if (!dir_.exists(kPlan)) return;
  // An import has no home of its own; what it made in the one in use is its own business.
  auto remove_home = [&](DriverKind kind, const std::string& path, const HomeSettings& settings) {
    if (auto open = record_.import ? nullptr : driver_entry(kind).open) open(path, settings)->remove_home();
  };
  remove_home(record_.to, home_path(), record_.to_home);
  if (dir_.try_sub("kept")) remove_home(record_.from, kept_home_path(), record_.from_home);
  for (const DirEntry& entry : dir_.list())
    if (entry.name != kJournal && entry.name != kPlan) dir_.remove_tree(entry.name);
}

/// The layers of a home that goes with the folder may be the only ones there are.
void MigrationFolder::require_no_renamed_layers() const {
  if (!record_.renames || state_ == MigrationState::ended || !dir_.exists("home")) return;
  auto kept = dir_.try_sub("kept");
  std::string old_home =
      kept && kept->exists("home") ? kept_home_path() : root_.path_of(driver_name(record_.from));
  if (LayerRenames(dir_).begun(*driver_entry(record_.from).open(old_home, record_.from_home),
                               *driver_entry(record_.to).open(home_path(), record_.to_home)))
    throw Error("`" + home_path() + "` still holds layers that were renamed into it, and would be deleted",
                "was the journal changed by hand? Move these layers back to the home of " +
                    std::string(driver_name(record_.from)) + ", then try again");
}

void MigrationFolder::end() {
  require_no_renamed_layers();
  if (state_ != MigrationState::ended) set_state(MigrationState::ended);
  // By the pointer it is known that the new root's part never began.
  if (record_.move && root_.path() != record_.move->to_root)
    remove_unbegun(Dir::try_open(record_.move->to_root), id_);
  remove_content();
  // The journal goes last, so that a cut leaves a folder that says of itself that it has ended.
  if (dir_.exists(kPlan)) dir_.unlink(kPlan);
  Dir above = root_.sub(kDroverFolder);
  above.remove_tree(id_);
  if (above.list().empty()) root_.remove_dir(kDroverFolder);
  root_.sync();
  if (!record_.move) return;
  // Those that a rollback has emptied.
  for (auto made = record_.move->made.rbegin(); made != record_.move->made.rend(); ++made)
    if (disk::rmdir(made->c_str()) != 0) break;
  remove_pointer();
}

}  // namespace drover
