#include "migrate/root_switch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "drivers/sys/error.hpp"
#include "drivers/sys/json_text.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/record_list.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/target_root.hpp"

namespace drover {

namespace {

constexpr const char* kOldRoot = "old-root.json";

/// What an engine changes whenever it starts: it makes `tmp` anew, for one. The root's own time tells
/// nothing, since drivers are tried out in it (drover info).
std::vector<std::string> entry_facts(const Dir& root) {
  std::vector<std::string> facts;
  for (const DirEntry& entry : root.list()) {
    if (is_drovers(entry.name)) continue;
    std::string fact = as_utf8(entry.name) + " ";
    try {
      struct stat st = root.stat(entry.name);
      fact += std::to_string(st.st_ino) + " " + std::to_string(st.st_ctim.tv_sec) + "." +
              std::to_string(st.st_ctim.tv_nsec);
    } catch (const Error& e) {
      if (!is_damage(e)) throw;  // what is left behind may be one that the disk has lost
      fact += "cannot be read";
    }
    facts.push_back(std::move(fact));
  }
  std::sort(facts.begin(), facts.end());
  return facts;
}

nlohmann::json kept_facts(const Dir& kept) {
  auto text = kept.try_read(kOldRoot);
  auto facts = try_parse_json(text.value_or("{}"));
  return facts && facts->is_object() ? *facts : nlohmann::json::object();
}

std::vector<std::string> names_in(const nlohmann::json& facts, const char* list) {
  std::vector<std::string> names;
  if (auto found = facts.find(list); found != facts.end() && found->is_array())
    for (const auto& name : *found)
      if (name.is_string()) names.push_back(name.get<std::string>());
  return names;
}

}  // namespace

RootSwitch::RootSwitch(const MigrationFolder& folder)
    : kept_(folder.kept()),
      from_(driver_name(folder.record().from)),
      config_(kept_, folder.record().config_path, folder.record().from, folder.record().to,
              folder.record().storage_opts, folder.record().move->config_root) {}

void RootSwitch::prepare(const Dir& old_root, const Dir& new_root, const std::vector<std::string>& carried,
                         const std::vector<std::string>& volumes) {
  config_.keep();
  nlohmann::ordered_json facts{{"entries", entry_facts(old_root)},
                               {"new_entries", entry_facts(new_root)},
                               {"carried", carried},
                               {"volumes", volumes}};
  kept_.write_atomic(kOldRoot,
                     facts.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n", 0600,
                     ::geteuid(), ::getegid());
  write_record_list(kept_, old_root.sub(kImage).sub(from_), old_root.try_sub(kContainers));
}

std::optional<std::string> RootSwitch::lost_in(const Dir& old_root) const {
  if (!old_root_has_nothing_new(old_root)) return std::nullopt;
  return lost_record(kept_, old_root.sub(kImage).sub(from_), old_root.try_sub(kContainers));
}

void RootSwitch::backward() {
  if (config_.is_kept()) config_.set_old();
}

std::vector<std::string> RootSwitch::carried() const { return names_in(kept_facts(kept_), "carried"); }

std::vector<std::string> RootSwitch::volumes() const { return names_in(kept_facts(kept_), "volumes"); }

bool RootSwitch::old_root_has_nothing_new(const Dir& old_root) const {
  std::vector<std::string> then = names_in(kept_facts(kept_), "entries"), now = entry_facts(old_root);
  // In the home what is nobody's layer is moved elsewhere before a commit; an engine changes more than that.
  for (std::vector<std::string>* facts : {&then, &now}) {
    for (std::string& fact : *facts)
      if (std::size_t time = fact.rfind(' '); fact.substr(0, fact.rfind(' ', time - 1)) == from_)
        fact.resize(time);
    std::sort(facts->begin(), facts->end());
  }
  return std::includes(then.begin(), then.end(), now.begin(), now.end());
}

bool RootSwitch::new_root_has_nothing_new(const Dir& new_root) const {
  return names_in(kept_facts(kept_), "new_entries") == entry_facts(new_root);
}

DataRoot root_of(const MigrationRecord& record, const DataRoot& found) {
  if (!record.move) return found;
  return {record.move->from_root, found.source, Dir::try_open(record.move->from_root).has_value(),
          record.from_home.owner};
}

std::optional<EngineLock> lock_other_root(const MigrationRecord& record, const std::string& locked_root) {
  if (!record.move) return std::nullopt;
  const RootMove& move = *record.move;
  const std::string& other = locked_root == move.from_root ? move.to_root : move.from_root;
  auto dir = Dir::try_open(other);
  // Nothing is made for the lock's sake where nothing is any more, or is yet.
  if (!dir || !dir->try_sub("volumes")) return std::nullopt;
  return EngineLock::take(other);
}

}  // namespace drover
