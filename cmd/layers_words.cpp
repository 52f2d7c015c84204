#include <array>

#include "cmd/layers_report.hpp"
#include "cmd/render.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

constexpr std::size_t kMostUsersByName = 2;
/// As wide as `docker history` shows a command.
constexpr std::size_t kCommandWidth = 45;

bool cut_prefix(std::string& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.erase(0, prefix.size());
  return true;
}

bool cut_suffix(std::string& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.resize(text.size() - suffix.size());
  return true;
}

/// Every run of white space as one blank, none at the ends.
std::string on_one_line(const std::string& text) {
  std::string line;
  for (char c : text) {
    bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  cut_suffix(line, " ");
  return line;
}

}  // namespace

std::string layer_id_text(const std::string& id, bool full) { return full ? id : short_id(id); }

std::string command_text(const std::string& created_by) {
  std::string text = on_one_line(created_by);
  cut_suffix(text, " # buildkit");
  if (cut_prefix(text, "/bin/sh -c #(nop) ")) return on_one_line(text);
  if (cut_prefix(text, "/bin/sh -c ")) return "RUN " + text;
  if (cut_prefix(text, "RUN /bin/sh -c ")) return "RUN " + text;
  return text;
}

std::string made_by(const StackLayer& layer) {
  switch (layer.role) {
    case LayerRole::writable:
      return "what the container wrote";
    case LayerRole::init:
      return "the engine: /etc/hosts and its like";
    default:
      break;
  }
  if (!layer.history) return "(no history)";
  std::string command = command_text(layer.history->created_by);
  return command.empty() ? layer.history->comment : command;
}

std::string made_by(const TreeLayer& layer) {
  if (!layer.history) return "(no history)";
  std::string command = command_text(layer.history->created_by);
  return command.empty() ? layer.history->comment : command;
}

std::string command_cell(const std::string& command, bool full) {
  return full ? command : shortened(printable(command), kCommandWidth);
}

std::string dash_if_empty(const std::string& text) { return text.empty() ? "-" : text; }

std::string users_text(const LayerUsers& users, bool full) {
  std::size_t count = users.images.size() + users.containers.size();
  if (full || count <= kMostUsersByName) {
    std::string text;
    for (const auto* names : {&users.images, &users.containers})
      for (const std::string& name : *names) text += (text.empty() ? "" : ", ") + name;
    return text;
  }
  std::string text;
  if (!users.images.empty()) text = counted(users.images.size(), "image");
  if (!users.containers.empty())
    text += (text.empty() ? "" : ", ") + counted(users.containers.size(), "container");
  return text;
}

std::string counted(std::uint64_t count, const std::string& what) {
  return human_count(count) + " " + what + (count == 1 ? "" : "s");
}

std::string how_text(HiddenEntry::How how) {
  constexpr std::array kNames = {"whiteout", "opaque", "replaced"};
  return kNames[static_cast<std::size_t>(how)];
}

std::string role_text(LayerRole role) {
  return role == LayerRole::writable ? "writable" : role == LayerRole::init ? "init" : "image";
}

std::string small_writes_advice(WriteCost cost) {
  switch (cost) {
    case WriteCost::whole_files:
      return "the first write to a file copies all of it up; keep such files in a volume (docker run -v)";
    case WriteCost::changed_blocks:
      return "this driver keeps only the blocks that were written, but overlay2 would copy each file whole; "
             "a "
             "volume (docker run -v) has neither cost";
    case WriteCost::nothing:
      break;
  }
  return "this driver copies the whole image for each container, and overlay2 would copy each such file "
         "whole; "
         "keep such files in a volume (docker run -v)";
}

std::string shortened(const std::string& text, std::size_t width) {
  constexpr std::string_view kDots = "...";
  std::size_t kept = 0, characters = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if ((text[at] & 0xc0) == 0x80) continue;
    if (characters + kDots.size() == width) kept = at;
    if (characters++ == width) return text.substr(0, kept).append(kDots);
  }
  return text;
}

}  // namespace drover
