#include "detect/systemd_unit.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "detect/small_file.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

namespace {

// systemd.unit(5), the first that has the unit wins.
constexpr std::array kFolders = {"/etc/systemd/system", "/run/systemd/system",
                                 "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                                 "/lib/systemd/system"};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

/// Lines without comments, those that end with a backslash joined with the next.
std::vector<std::string> logical_lines(std::string_view text) {
  std::vector<std::string> lines;
  bool goes_on = false;
  while (!text.empty()) {
    std::size_t cut = std::min(text.find('\n'), text.size());
    std::string_view line = trimmed(text.substr(0, cut));
    text.remove_prefix(std::min(cut + 1, text.size()));
    if (line.starts_with('#') || line.starts_with(';')) continue;
    bool more = line.ends_with('\\');
    if (more) line.remove_suffix(1);
    if (goes_on)
      (lines.back() += ' ') += line;
    else if (!line.empty())
      lines.emplace_back(line);
    goes_on = more && (goes_on || !line.empty());
  }
  return lines;
}

/// A unit's settings so far; an empty assignment empties a list.
struct Service {
  std::vector<OriginWord> exec_start, environment, environment_files;
};

void set_list(std::vector<OriginWord>& list, std::string_view value, const std::string& origin) {
  if (value.empty())
    list.clear();
  else
    list.push_back({std::string(value), origin});
}

void read_settings(Service& service, std::string_view text, const std::string& origin) {
  bool in_service = false;
  for (const std::string& line : logical_lines(text)) {
    if (line.starts_with('[')) {
      in_service = line == "[Service]";
      continue;
    }
    std::size_t equals = line.find('=');
    if (!in_service || equals == std::string::npos) continue;
    std::string_view key = trimmed(std::string_view(line).substr(0, equals));
    std::string_view value = trimmed(std::string_view(line).substr(equals + 1));
    if (key == "ExecStart") {
      set_list(service.exec_start, value, origin);
    } else if (key == "EnvironmentFile") {
      set_list(service.environment_files, value, origin);
    } else if (key == "Environment") {
      if (value.empty()) service.environment.clear();
      for (std::string& word : split_words(value)) service.environment.push_back({std::move(word), origin});
    }
  }
}

/// The value of a variable, and where it was set; the last assignment counts.
std::optional<OriginWord> variable(const std::vector<OriginWord>& environment, std::string_view name) {
  for (auto e = environment.rbegin(); e != environment.rend(); ++e)
    if (e->text.starts_with(std::string(name) + "="))
      return OriginWord{e->text.substr(name.size() + 1), e->origin};
  return std::nullopt;
}

bool is_name(std::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
             std::string_view::npos;
}

/// `${NAME}` inside a word becomes the value; other dollars stay, `$$` is one dollar.
OriginWord expand_braces(const OriginWord& word, const std::vector<OriginWord>& environment) {
  OriginWord out{"", word.origin};
  std::string_view rest = word.text;
  while (!rest.empty()) {
    std::size_t dollar = std::min(rest.find('$'), rest.size());
    out.text += rest.substr(0, dollar);
    rest.remove_prefix(dollar);
    std::size_t close = rest.starts_with("${") ? rest.find('}') : std::string_view::npos;
    if (close != std::string_view::npos && is_name(rest.substr(2, close - 2))) {
      if (auto value = variable(environment, rest.substr(2, close - 2))) {
        out.text += value->text;
        out.origin = value->origin;
      }
      rest.remove_prefix(close + 1);
    } else if (!rest.empty()) {
      out.text += '$';
      rest.remove_prefix(rest.starts_with("$$") ? 2 : 1);
    }
  }
  return out;
}

std::vector<OriginWord> expand(const OriginWord& line, const std::vector<OriginWord>& environment) {
  std::vector<OriginWord> words;
  for (const std::string& word : split_words(line.text)) {
    if (word.starts_with('$') && is_name(std::string_view(word).substr(1))) {
      if (auto value = variable(environment, std::string_view(word).substr(1)))
        for (std::string& part : split_words(value->text)) words.push_back({std::move(part), value->origin});
    } else {
      words.push_back(expand_braces({word, line.origin}, environment));
    }
  }
  if (!words.empty()) {
    std::string& program = words.front().text;
    bool named = program.find('@') < program.find('/');  // "@/usr/bin/dockerd argv0 ..."
    program.erase(0, std::min(program.find_first_not_of("@-:+!|"), program.size()));
    if (named && words.size() > 1) words.erase(words.begin() + 1);
  }
  return words;
}

/// Drop-ins by name: of one name the folder that comes first wins.
std::map<std::string, std::string> drop_ins(const std::string& root, const std::string& unit,
                                            const std::vector<std::string>& folders) {
  std::map<std::string, std::string> found;
  for (const std::string& folder : folders) {
    std::string path = folder + "/" + unit + ".d";
    auto dir = Dir::try_open(root + path);
    if (!dir) continue;
    for (const DirEntry& entry : dir->list())
      if (entry.name.ends_with(".conf")) found.emplace(entry.name, path + "/" + entry.name);
  }
  return found;
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      in_word = true;
    } else if (quote ? c == quote : c == '"' || c == '\'') {
      quote = quote ? 0 : c;
      in_word = true;
    } else if (!quote && (c == ' ' || c == '\t' || c == '\n')) {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (in_word) words.push_back(std::move(word));
  return words;
}

std::vector<OriginWord> parse_environment_file(std::string_view text, const std::string& origin) {
  std::vector<OriginWord> found;
  for (const std::string& line : logical_lines(text)) {
    std::string_view assignment = line;
    if (assignment.starts_with("export ")) assignment = trimmed(assignment.substr(7));
    std::size_t equals = assignment.find('=');
    if (equals == std::string_view::npos || !is_name(assignment.substr(0, equals))) continue;
    std::string_view value = trimmed(assignment.substr(equals + 1));
    bool quoted = value.size() > 1 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0];
    if (quoted) value = value.substr(1, value.size() - 2);
    found.push_back({std::string(assignment.substr(0, equals + 1)) + std::string(value), origin});
  }
  return found;
}

ServiceCommand read_service(const std::string& root, const std::string& unit, const std::string& folder) {
  std::vector<std::string> folders(kFolders.begin(), kFolders.end());
  if (!folder.empty()) folders = {folder};
  Service service;
  bool found = false;
  for (const std::string& f : folders) {
    auto text = read_small_file(root + f + "/" + unit);
    if (!text) continue;
    read_settings(service, *text, f + "/" + unit);
    found = true;
    break;
  }
  if (!found) return {};
  for (const auto& [name, path] : drop_ins(root, unit, folders))
    if (auto text = read_small_file(root + path)) read_settings(service, *text, path);
  ServiceCommand command;
  command.environment = service.environment;
  for (const OriginWord& file : service.environment_files) {
    std::string path = file.text.substr(file.text.starts_with('-') ? 1 : 0);
    if (auto text = read_small_file(root + path))
      for (OriginWord& e : parse_environment_file(*text, path)) command.environment.push_back(std::move(e));
  }
  if (!service.exec_start.empty()) command.words = expand(service.exec_start.back(), command.environment);
  return command;
}

}  // namespace drover
