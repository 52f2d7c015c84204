#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "cmd/context.hpp"
#include "cmd/selection.hpp"
#include "detect/data_root.hpp"
#include "detect/engine_config.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/fd.hpp"
#include "drivers/sys/process.hpp"
#include "migrate/migration_folder.hpp"

namespace drover {

namespace {

void refuse_containerd(const EngineConfig& config, const CurrentDriver& current) {
  if (config.containerd_snapshotter != true && !current.containerd) return;
  throw Error("the engine keeps its images in containerd's store (" + current.source +
                  "), where storage drivers play no part",
              "set features.containerd-snapshotter to false in `" + config.config_path +
                  "` to go back to storage drivers; its images there are hidden then");
}

/// While a migration is open, the configuration's driver is the migration's to decide.
void refuse_half_done_migration(const DataRoot& root) {
  auto dir = root.exists ? Dir::try_open(root.path) : std::nullopt;
  auto open = dir ? find_open_migration(*dir) : std::nullopt;
  if (open) refuse_open_migration(*open, root.path);
}

/// The driver that the engine is told to use now, if it is told.
std::optional<std::string> configured(const EngineConfig& config) {
  for (const EngineConfig::Flag& flag : conflicting_flags(config))
    if (flag.name == "storage-driver") return flag.value;
  return config.driver;
}

bool is_in_force(const EngineConfig& config, const CurrentDriver& current, const SelectOptions& options,
                 const std::string& choice, const std::string& new_text) {
  if (!options.storage_opts.empty() && new_text != config.config_text) return false;
  if (auto name = configured(config)) {
    bool by_file = config.driver == name;
    return name == choice && (!by_file || new_text == config.config_text);
  }
  // Its own data on the disk is why the engine uses it; who asks for it by name wants it written down.
  bool by_its_data =
      std::find(current.priors.begin(), current.priors.end(), current.kind) != current.priors.end();
  return !options.driver && current.name == choice && by_its_data;
}

/// A file of this text that is gone at the end, for a program that reads files only.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    path_ = (std::filesystem::temp_directory_path() / "drover-daemon-XXXXXX").string();
    Fd fd(::mkstemp(path_.data()));
    if (!fd) fail("create", errno);
    ssize_t n = disk::write(fd.get(), text.data(), text.size());
    if (n == static_cast<ssize_t>(text.size())) return;
    int number = n < 0 ? errno : ENOSPC;
    disk::unlink(path_.c_str());
    fail("write", number);
  }
  ~TemporaryFile() { disk::unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void fail(const char* verb, int number) const {
    throw Error(std::string("cannot ") + verb + " `" + path_ + "`: " + errno_text(number),
                "nothing was changed; TMPDIR names another folder for temporary files");
  }
  std::string path_;
};

/// Asks dockerd about a configuration. Gives back why it could not be asked, or nothing.
std::string validate(const std::string& text) {
  auto engine = find_program("dockerd");
  if (!engine) return "there is no dockerd here to check the new configuration";
  TemporaryFile file(text);
  ProcessResult result = run_process({*engine, "--validate", "--config-file", file.path()});
  if (result.exit_code == 0) return {};
  if (result.err.find("unknown flag: --validate") != std::string::npos) {
    auto version = installed_engine();
    return "dockerd" + (version ? " " + version->text : std::string()) +
           " cannot check a configuration (23.0 and newer can): its own check was left out";
  }
  std::string why = result.err.substr(0, result.err.find_last_not_of(" \n") + 1);
  why = why.substr(why.rfind('\n') + 1);
  throw Error("dockerd refuses the new configuration: " + why,
              "nothing was changed; correct the rest of the file first");
}

void add_remarks(Selection& selection, const EngineConfig& config, const DataRoot& root,
                 const CurrentDriver& current, DriverKind chosen) {
  for (DriverKind kind : current.homes)
    if (kind != chosen) selection.hides.emplace_back(driver_name(kind));
  // Once the configuration names the choice, only --from tells where the data is.
  std::string hidden, from;
  for (const std::string& name : selection.hides) {
    hidden += (hidden.empty() ? "" : " and ") + name;
    from += (from.empty() ? "--from " : " (or --from ") + name + (from.empty() ? "" : ")");
  }
  if (!hidden.empty())
    selection.remarks.push_back(
        "there is data of " + hidden + " in " + root.path + ": under " + selection.choice +
        " the engine does not show its images and containers (nothing is deleted); `drover migrate " + from +
        " --to " + selection.choice + "` moves them instead");
  if (!selection.removed.empty()) {
    std::string removed;
    for (const std::string& option : selection.removed) removed += (removed.empty() ? "" : ", ") + option;
    selection.remarks.push_back(
        "storage-opts that " + selection.choice +
        " does not take are removed, since the engine would not start with them: " + removed);
  }
  if (auto last = last_engine_with(chosen))
    selection.remarks.push_back("engines after " + std::to_string(*last) + " no longer have " +
                                selection.choice);
  if (!selection.in_force && EngineLock::held(root.path))
    selection.remarks.push_back("an engine is running on " + root.path +
                                ": it goes on as it is until it is restarted");
  if (!config.config_exists)
    selection.remarks.push_back("`" + config.config_path + "` does not exist yet and is made");
}

}  // namespace

Ranking docker_ranking(const SelectOptions& options, const Context& context) {
  EngineConfig config = read_engine_config(context.config);
  DataRoot root = find_data_root(context.data_root, config);
  std::vector<std::string> storage_opts = storage_opts_in_force(config);
  storage_opts.insert(storage_opts.end(), options.storage_opts.begin(), options.storage_opts.end());
  std::vector<std::pair<std::string, DriverKind>> names;
  for (const DriverEntry& entry : driver_table()) names.emplace_back(entry.name, entry.kind);
  return rank_on(root.path, storage_opts, names, options.workload, installed_engine());
}

Selection docker_selection(const SelectOptions& options, const Context& context, const Ranking& ranking) {
  EngineConfig config = read_engine_config(context.config);
  DataRoot root = find_data_root(context.data_root, config);
  CurrentDriver current = find_current_driver(root, config);
  refuse_half_done_migration(root);
  const NamedDriver& chosen = choose(ranking, options);
  require_storage_opts(chosen.name, options.storage_opts);
  refuse_containerd(config, current);
  Selection selection{.choice = chosen.name,
                      .current = current.name,
                      .current_source = current.source,
                      .hides = {},
                      .removed = {},
                      .remarks = {},
                      .file = ConfigFile(config.config_path),
                      .new_text = {},
                      .check = validate,
                      .next = std::string("it takes effect when the engine starts again: systemctl ") +
                              (::geteuid() == 0 ? "" : "--user ") + "restart docker"};
  selection.new_text =
      config_with_driver(selection.file.text(), chosen.name, options.storage_opts, &selection.removed);
  selection.in_force = is_in_force(config, current, options, chosen.name, selection.new_text);
  if (!selection.in_force) refuse_flags_in_the_way(config, chosen.name, selection.new_text);
  add_remarks(selection, config, root, current, chosen.ranked.kind);
  return selection;
}

}  // namespace drover
