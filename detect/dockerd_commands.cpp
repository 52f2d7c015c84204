#include "detect/dockerd_commands.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>

#include "detect/small_file.hpp"
#include "detect/systemd_unit.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

constexpr const char* kUnit = "docker.service";

/// The flag that drover knows under this name, as EngineConfig calls it; empty for all others.
std::string known_flag(std::string_view name) {
  if (name == "s" || name == "storage-driver") return "storage-driver";
  if (name == "g" || name == "graph" || name == "data-root") return "data-root";
  if (name == "storage-opt" || name == "userns-remap" || name == "config-file") return std::string(name);
  return {};
}

struct FoundFlag {
  std::string name, value, origin;
};

/// Reads the words after the program's name as Go's pflag does.
class FlagReader {
 public:
  explicit FlagReader(const std::vector<OriginWord>& words) : words_(words) {}

  std::vector<FoundFlag> read() {
    for (at_ = 1; at_ < words_.size(); ++at_) {
      std::string_view word = words_[at_].text;
      if (word.starts_with("--"))
        long_flag(word.substr(2));
      else if (word.starts_with('-'))
        short_flags(word.substr(1));
    }
    return std::move(found_);
  }

 private:
  void long_flag(std::string_view word) {
    std::size_t equals = word.find('=');
    std::string name = known_flag(word.substr(0, equals));
    if (name.empty()) return;
    if (equals != std::string_view::npos)
      add(name, std::string(word.substr(equals + 1)));
    else
      add_next(name);
  }

  void short_flags(std::string_view cluster) {
    // -D, -h and -v take no value; of any other the value is what follows.
    while (!cluster.empty() && std::string_view("Dhv").find(cluster[0]) != std::string_view::npos)
      cluster.remove_prefix(1);
    if (cluster.empty()) return;
    std::string name = known_flag(cluster.substr(0, 1));
    std::string_view value = cluster.substr(1);
    if (value.starts_with('=')) value.remove_prefix(1);
    if (cluster.size() == 1)
      add_next(name);
    else
      add(name, std::string(value));
  }

  void add_next(const std::string& name) {
    if (at_ + 1 < words_.size()) add(name, words_[++at_].text);
  }

  void add(const std::string& name, const std::string& value) {
    if (!name.empty()) found_.push_back({name, value, words_[at_].origin});
  }

  const std::vector<OriginWord>& words_;
  std::size_t at_ = 0;
  std::vector<FoundFlag> found_;
};

bool is_engine(const std::vector<OriginWord>& words) {
  if (words.empty()) return false;
  std::string program = std::filesystem::path(words[0].text).filename().string();
  if (program == "dockerd") return true;
  return program == "docker" && words.size() > 1 && (words[1].text == "daemon" || words[1].text == "-d");
}

/// `where` names a place, given the file or process that a flag comes from.
template <class Where>
DockerdCommand make_command(const std::vector<OriginWord>& words, const std::vector<OriginWord>& environment,
                            const std::string& default_config, Where where) {
  DockerdCommand command;
  command.config_path = default_config;
  std::optional<EngineConfig::Flag> from_environment;
  for (const OriginWord& e : environment)
    if (e.text.starts_with("DOCKER_DRIVER=") && e.text.size() > 14)
      from_environment = {"storage-driver", e.text.substr(14),
                          "environment DOCKER_DRIVER of " + where(e.origin)};
  if (from_environment) command.flags.push_back(*from_environment);
  for (const FoundFlag& f : FlagReader(words).read()) {
    if (f.name == "config-file")
      command.config_path = f.value;
    else
      command.flags.push_back({f.name, f.value, where(f.origin)});
  }
  return command;
}

std::vector<OriginWord> split_nul(const std::string& text) {
  std::vector<OriginWord> words;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find('\0', at), text.size());
    words.push_back({text.substr(at, end - at), {}});
    at = end + 1;
  }
  return words;
}

/// Any user's process says what it likes here, and as much; an engine's is short.
std::vector<OriginWord> command_line(const Dir& process) {
  constexpr std::size_t kLongest = 1 << 20;
  return split_nul(process.try_read("cmdline", kLongest).value_or(""));
}

std::string variable(const std::vector<OriginWord>& environment, const std::string& name) {
  for (const OriginWord& e : environment)
    if (e.text.starts_with(name + "=")) return e.text.substr(name.size() + 1);
  return {};
}

/// Whether the process has a pid namespace of its own, as one in a container has. Unreadable: no.
bool is_in_container(const std::string& root, const std::string& pid) {
  std::error_code error;
  auto own = std::filesystem::read_symlink(root + "/proc/self/ns/pid", error);
  if (error) return false;
  auto its = std::filesystem::read_symlink(root + "/proc/" + pid + "/ns/pid", error);
  return !error && its != own;
}

/// Of its four users the kernel's word is in `status`: a process can make /proc/PID root's.
bool is_roots(const Dir& process) {
  std::string status = process.try_read("status").value_or("");
  std::size_t at = status.find("\nUid:");
  if (at == std::string::npos) return process.stat().st_uid == 0;
  std::istringstream line(status.substr(at + 5, status.find('\n', at + 1) - at - 5));
  for (std::string user; line >> user;)
    if (user != "0") return false;
  return true;
}

std::optional<DockerdCommand> running_command(const std::string& root, const Dir& proc,
                                              const std::string& pid) {
  try {
    Dir process = proc.sub(pid);
    std::vector<OriginWord> words = command_line(process);
    if (!is_engine(words) || is_in_container(root, pid)) return std::nullopt;
    // Anyone can call a program dockerd, and a rootless engine has a docker.service, too: neither is root's.
    if (::geteuid() == 0 && !is_roots(process)) return std::nullopt;
    std::vector<OriginWord> environment;
    // Another user's environment is not ours to read.
    if (process.stat().st_uid == ::geteuid() || ::geteuid() == 0)
      environment = split_nul(process.try_read("environ").value_or(""));
    bool rootless = process.stat().st_uid != 0;
    DockerdCommand command =
        make_command(words, environment,
                     default_config_path(rootless, variable(environment, "HOME"),
                                         variable(environment, "XDG_CONFIG_HOME")),
                     [&](const std::string&) { return "running dockerd (pid " + pid + ")"; });
    command.running = true;
    command.by_unit =
        process.try_read("cgroup").value_or("").find(std::string("/") + kUnit) != std::string::npos;
    return command;
  } catch (const Error&) {
    return std::nullopt;  // it ended in between, or says more than an engine would
  }
}

bool is_pid(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

void add_running(const std::string& root, std::vector<DockerdCommand>& commands) {
  auto proc = Dir::try_open(root + "/proc");
  if (!proc) return;
  for (const DirEntry& entry : proc->list())
    if (is_pid(entry.name))
      if (auto command = running_command(root, *proc, entry.name)) commands.push_back(std::move(*command));
}

bool add_unit(const std::string& root, const std::string& folder, const std::string& default_config,
              std::vector<DockerdCommand>& commands) {
  ServiceCommand service = read_service(root, kUnit, folder);
  if (!is_engine(service.words)) return false;
  commands.push_back(make_command(
      service.words, service.environment, default_config,
      [](const std::string& file) { return std::string("unit ") + kUnit + " (" + printable(file) + ")"; }));
  commands.back().by_unit = true;
  return true;
}

void add_sysvinit(const std::string& root, std::vector<DockerdCommand>& commands) {
  constexpr const char* file = "/etc/default/docker";
  auto text = read_small_file(std::string(root) + file);
  if (!text) return;
  std::vector<OriginWord> environment = parse_environment_file(*text, file);
  std::vector<OriginWord> words = {{"dockerd", file}};
  for (const std::string& word : split_words(variable(environment, "DOCKER_OPTS")))
    words.push_back({word, file});
  commands.push_back(make_command(words, environment, default_config_path(false, "", ""),
                                  [](const std::string& origin) { return origin; }));
}

}  // namespace

bool is_engine_process(const Dir& process) {
  try {
    return is_engine(command_line(process));
  } catch (const Error&) {
    return false;  // it ended in between, or says more than an engine would
  }
}

std::string default_config_path(bool rootless, const std::string& home, const std::string& xdg_config_home) {
  if (!rootless || (home.empty() && xdg_config_home.empty())) return "/etc/docker/daemon.json";
  return (xdg_config_home.empty() ? home + "/.config" : xdg_config_home) + "/docker/daemon.json";
}

std::vector<DockerdCommand> find_dockerd_commands(const std::string& root) {
  std::vector<DockerdCommand> commands;
  add_running(root, commands);
  if (!add_unit(root, {}, default_config_path(false, "", ""), commands)) add_sysvinit(root, commands);
  if (::geteuid() != 0) {
    std::string home = environment_value("HOME"), xdg = environment_value("XDG_CONFIG_HOME");
    add_unit(root, (xdg.empty() ? home + "/.config" : xdg) + "/systemd/user",
             default_config_path(true, home, xdg), commands);
  }
  return commands;
}

}  // namespace drover
