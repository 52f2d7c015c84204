#include "migrate/journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

constexpr const char* kName = "journal";
// A line takes 140 bytes at most, and a run of a migration writes one or two for each layer: room for half a
// million.
constexpr std::size_t kLargest = 64 << 20;

constexpr std::pair<MigrationState, std::string_view> kStates[] = {
    {MigrationState::reading, "reading"},
    {MigrationState::staging, "staging"},
    {MigrationState::switching, "switching"},
    {MigrationState::switched, "switched"},
    {MigrationState::rolling_back, "rolling back"},
    {MigrationState::committing, "committing"},
    {MigrationState::ended, "ended"},
};

std::string line_of(const char* event, const char* key, std::string_view value, bool damaged = false) {
  char time[32];
  std::time_t now = std::time(nullptr);
  std::tm utc{};
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", ::gmtime_r(&now, &utc));
  nlohmann::ordered_json line{{"time", time}, {"event", event}, {key, value}};
  if (damaged) line["damaged"] = true;
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::optional<std::string> try_read_text(const Dir& folder) {
  store::RecordFile file = store::read_record_file(folder, kName, kLargest);
  if (!file.text && !file.absent)
    throw Error("`" + folder.path_of(kName) + "` " + file.wrong,
                "it is no journal that drover has written: restore it, or go back by hand as docs/safety.md "
                "tells. Nothing was changed");
  return file.text;
}

/// At the end of the file; false with errno.
bool take_room(int fd) {
  constexpr off_t kRoom = 64 << 10;  // some hundred lines
  struct stat now;
  return ::fstat(fd, &now) == 0 &&
         (disk::fallocate(fd, FALLOC_FL_KEEP_SIZE, now.st_size, kRoom) == 0 || errno == EOPNOTSUPP);
}

/// What is behind `end` goes; false with errno. With it goes the room behind it, which others may take: it is
/// taken again at once, if it can be.
bool cut(int fd, off_t end) {
  if (disk::ftruncate(fd, end) != 0) return false;
  (void)take_room(fd);
  return true;
}

/// The text up to its last complete line.
std::string_view complete_lines(std::string_view text) {
  std::size_t end = text.rfind('\n');
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end + 1);
}

void read_line(std::string_view text, std::size_t number, JournalContent& content) {
  const nlohmann::json line = try_parse_json(text).value_or(nlohmann::json());
  auto field = [&](const char* key) -> std::string {
    return line.is_object() && line.contains(key) && line[key].is_string() ? line[key].get<std::string>()
                                                                           : "";
  };
  std::string event = field("event");
  if (event == "layer" && is_layer_id(field("id"))) {
    content.finished_layers.insert(field("id"));
    if (line.value("damaged", nlohmann::json()) == true) content.damaged_layers.insert(field("id"));
    return;
  }
  if (event == "drop" && is_layer_id(field("id"))) {
    content.finished_layers.erase(field("id"));
    content.damaged_layers.erase(field("id"));
    return;
  }
  if (event == "step") return;
  for (const auto& [state, name] : kStates)
    if (event == "state" && field("name") == name) {
      content.state = state;
      return;
    }
  throw Error("the migration's journal is damaged in line " + std::to_string(number),
              "nothing was changed; take the line out if it is clear what it was");
}

}  // namespace

std::string_view state_name(MigrationState state) {
  for (const auto& [known, name] : kStates)
    if (known == state) return name;
  return "";
}

Journal Journal::open(const Dir& folder) {
  auto text = try_read_text(folder);
  auto old = folder.try_open_regular(kName, O_WRONLY | O_APPEND);
  Fd fd = old ? std::move(*old) : folder.open_file(kName, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600);
  const std::size_t whole = text ? complete_lines(*text).size() : 0;
  if (text && whole != text->size() && !cut(fd.get(), static_cast<off_t>(whole)))
    throw_errno("cannot mend `" + folder.path_of(kName) + "`");
  folder.sync();
  return Journal(std::move(fd));
}

JournalContent Journal::read(const Dir& folder) {
  JournalContent content;
  auto text = try_read_text(folder);
  if (!text) return content;
  std::string_view rest = complete_lines(*text);
  for (std::size_t number = 1; !rest.empty(); ++number) {
    std::size_t end = rest.find('\n');
    read_line(rest.substr(0, end), number, content);
    rest.remove_prefix(end + 1);
  }
  return content;
}

void Journal::reserve() {
  if (!take_room(fd_.get())) throw_errno("cannot take room for the migration's journal");
}

void Journal::layers_finished(const std::vector<FinishedLayer>& layers) {
  std::string lines;
  for (const FinishedLayer& layer : layers) lines += line_of("layer", "id", layer.id, layer.damaged_before);
  append(lines);
}

void Journal::layers_dropped(const std::vector<LayerId>& ids) {
  std::string lines;
  for (const LayerId& id : ids) lines += line_of("drop", "id", id);
  if (!lines.empty()) append(lines);
}

void Journal::state(MigrationState state) { append(line_of("state", "name", state_name(state))); }
void Journal::step(const std::string& name) { append(line_of("step", "name", name)); }

void Journal::append(const std::string& lines) {
  std::lock_guard lock(*mutex_);
  struct stat before;
  if (::fstat(fd_.get(), &before) != 0) throw_errno("cannot write the migration's journal");
  // One write: after a crash at most the last line is torn.
  ssize_t n = disk::write(fd_.get(), lines.data(), lines.size());
  if (n != static_cast<ssize_t>(lines.size())) {
    int error = n < 0 ? errno : ENOSPC;
    // Another line may follow in this run; what is torn must not become a part of it.
    if (n > 0 && !cut(fd_.get(), before.st_size)) error = errno;
    throw_errno("cannot write the migration's journal", error);
  }
  if (disk::fdatasync(fd_.get()) != 0) {
    int error = errno;
    // This run goes on as if it had not been written; so must whoever reads it next.
    if (cut(fd_.get(), before.st_size)) (void)disk::fdatasync(fd_.get());
    throw_errno("cannot sync the migration's journal", error);
  }
}

}  // namespace drover
