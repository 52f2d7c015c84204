#include "migrate/switch_config.hpp"

#include <unistd.h>

#include <filesystem>

#include "detect/config_root.hpp"
#include "detect/engine_config.hpp"
#include "detect/json_edit.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"

namespace drover {

namespace {

constexpr const char* kKept = "config";
constexpr const char* kNotThere = "config-absent";  // empty: there was no configuration file
constexpr const char* kDriver = "storage-driver";
constexpr const char* kOptions = "storage-opts";

// dockerd refuses a key that it does not know, and prints it, without its value: "the following directives
// don't match any configuration option: ..." (moby daemon/config, findConfigurationConflicts; seen
// with 20.10). So the message is the key. Engines that drover knows do so since 1.10.
constexpr const char* kHold = "drover";

/// The engine takes a blank file for an empty object.
std::string object_text(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos ? "{}\n" : text;
}

std::string without_hold(const std::string& text) {
  std::string object = object_text(text);
  auto key = json_key_starting(object, kHold);
  return key ? json_remove(object, *key) : object;
}

/// Gives `text` the other text's value of a key, or takes the key out where that has none.
std::string with_value_of(const std::string& text, const std::string& other, const char* key) {
  auto value = json_value_text(object_text(other), key);
  return value ? json_set(text, key, *value) : json_remove(text, key);
}

}  // namespace

bool is_on_hold(const std::string& text) { return json_key_starting(object_text(text), kHold).has_value(); }

void SwitchConfig::keep() {
  ConfigFile file(path_);
  for (const char* name : {kKept, kNotThere})
    if (kept_.exists(name)) kept_.unlink(name);
  for_target(held(file.text()));  // what cannot be written is found out here, while nothing is switched
  if (!file.exists()) return kept_.write_atomic(kNotThere, "", 0600, ::geteuid(), ::getegid());
  struct stat st = file.stat();
  kept_.write_atomic(kKept, file.text(), st.st_mode & 07777, st.st_uid, st.st_gid);
}

/// One that somebody has removed comes back with the owner and mode that it had.
void SwitchConfig::write(ConfigFile& file, const std::string& text) const {
  auto old = kept_.try_stat(kKept);
  file.write(text, old ? &*old : nullptr);
}

bool SwitchConfig::is_kept() const { return kept_.exists(kKept) || kept_.exists(kNotThere); }

bool SwitchConfig::names_data_root() const {
  auto named = root_of_config(ConfigFile(path_).text());
  if (!data_root_ || !named) return false;
  std::error_code error;
  auto plain = [&](const std::string& path) { return std::filesystem::weakly_canonical(path + "/.", error); };
  return plain(*named) == plain(*data_root_) || std::filesystem::equivalent(*named, *data_root_, error);
}

bool SwitchConfig::names_target() const {
  auto named = json_value_text(object_text(ConfigFile(path_).text()), kDriver);
  return named && *named == "\"" + std::string(driver_name(to_)) + "\"";
}

std::optional<std::string> SwitchConfig::kept_text() const {
  if (kept_.exists(kNotThere)) return std::nullopt;
  return kept_.read(kKept);
}

std::string SwitchConfig::held(const std::string& text) const {
  std::string why = kHold + std::string(" is moving this host's data from ") +
                    std::string(driver_name(from_)) + " to " + std::string(driver_name(to_)) +
                    " and was interrupted: run `drover migrate --resume` or `drover rollback`"
                    " (drover info tells which)";
  return json_set(object_text(text), why, "true");
}

std::string SwitchConfig::for_target(const std::string& text) const {
  std::string changed = config_with_driver(text, std::string(driver_name(to_)), storage_opts_, nullptr);
  return data_root_ ? config_with_root(changed, *data_root_) : changed;
}

bool SwitchConfig::is_ours(const std::string& text) const {
  std::string old = kept_text().value_or(""), changed = for_target(old);
  return text == old || text == changed || text == held(old) || text == held(changed);
}

bool SwitchConfig::is_held() const { return is_on_hold(ConfigFile(path_).text()); }

void SwitchConfig::hold() {
  ConfigFile file(path_);
  // One that somebody has removed meanwhile says nothing of the settings.
  if (!is_on_hold(file.text()))
    write(file, held(file.exists() || !is_kept() ? file.text() : kept_text().value_or("")));
}

void SwitchConfig::set_new() {
  ConfigFile file(path_);
  file.discard_unfinished();
  // Where the user has edited the file since, the edits stay; one that is gone says nothing.
  std::string base =
      !file.exists() || is_ours(file.text()) ? kept_text().value_or("") : without_hold(file.text());
  std::string text = for_target(base);
  if (file.text() != text) write(file, text);
}

void SwitchConfig::set_old() {
  auto old = kept_text();
  ConfigFile file(path_);
  file.discard_unfinished();
  if (!file.exists()) {
    if (old) write(file, *old);
  } else if (!is_ours(file.text())) {
    std::string text = without_hold(file.text());
    std::vector<const char*> ours = {kDriver, kOptions};
    if (data_root_) ours.insert(ours.end(), {kRootKey, kOldRootKey});
    for (const char* key : ours) text = with_value_of(text, old.value_or(""), key);
    if (text != file.text()) file.write(text);
    log_note("`" + path_ + "` was changed since: only " + (data_root_ ? "the data root, " : "") +
             "the storage driver and its options go back");
  } else if (!old) {
    file.remove();
  } else if (file.text() != *old) {
    file.write(*old);
  }
}

}  // namespace drover
