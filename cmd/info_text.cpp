#include <ostream>

#include "cmd/info_report.hpp"
#include "cmd/render.hpp"
#include "drivers/sys/size_text.hpp"
#include "migrate/left_behind.hpp"
#include "migrate/next_step.hpp"

namespace drover {

namespace {

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string answer(const std::optional<bool>& value) {
  return !value ? "not tried" : *value ? "true" : "false";
}

std::string count(const std::optional<std::uint64_t>& value) { return value ? human_count(*value) : "?"; }

void print_host(InfoLines& lines, const HostFacts& host) {
  lines.heading(0, "Host");
  lines.line(1, "Kernel Version", host.kernel);
  lines.line(1, "Filesystems", join(host.filesystems));
  if (!host.loadable.empty()) lines.line(1, "Loadable Filesystems", join(host.loadable));
}

void print_engine(InfoLines& lines, const HostReport& host) {
  lines.heading(0, "Engine");
  lines.line(1, "Installed", host.engine ? host.engine->text : "none found in PATH");
  std::string running = !host.engine_running ? "not known" : *host.engine_running ? "true" : "false";
  if (host.engine_holder) running += ", " + *host.engine_holder;
  lines.line(1, "Running", running);
  lines.line(1, "Configuration", host.config.config_path + (host.config.config_exists ? "" : " (absent)"));
}

void print_root(InfoLines& lines, const HostReport& host) {
  const BackingFilesystem& fs = host.backing;
  lines.line(0, "Data Root", host.root.path + (host.root.exists ? "" : " (does not exist)"));
  lines.line(1, "Found By", host.root.source);
  if (host.root.owner.uid != 0)
    lines.line(1, "Mapped Root",
               std::to_string(host.root.owner.uid) + ":" + std::to_string(host.root.owner.gid));
  if (!host.root.exists) lines.line(1, "Nearest Directory", fs.place);
  lines.line(0, "Backing Filesystem",
             fs.type == fs.kernel_type ? fs.type : fs.type + " (" + fs.kernel_type + ")");
  lines.line(1, "Mount Point", fs.mount_point + " (" + fs.source + ")" + (fs.read_only ? ", read-only" : ""));
  lines.line(1, "Free Space", human_size(fs.free_bytes) + " of " + human_size(fs.total_bytes));
  lines.line(1, "Free Inodes",
             fs.total_inodes == 0 ? "made as needed"
                                  : human_count(fs.free_inodes) + " of " + human_count(fs.total_inodes));
  lines.line(1, "Supports d_type", answer(fs.d_type));
  lines.line(1, "Supports Reflinks", answer(fs.reflink));
  lines.line(1, "Supports xattrs", answer(fs.xattr));
  lines.line(1, "Container Quota",
             fs.quota == "project"  ? "project quotas"
             : fs.quota == "qgroup" ? "btrfs quota groups"
                                    : "none");
}

void print_driver(InfoLines& lines, const HostReport& host) {
  bool known = !host.current.source.empty();
  std::string name = !known ? "not known" : host.current.name.empty() ? "none" : host.current.name;
  lines.line(0, "Storage Driver", name + (host.current.containerd ? " (containerd snapshotter)" : ""));
  if (known) lines.line(1, "Chosen By", host.current.source);
  for (const auto& ranked : host.drivers) {
    if (ranked.kind != host.current.kind) continue;
    for (const auto& [key, value] : status_lines(ranked.probe, host.engine)) lines.line(1, key, value);
    if (DriverAnswer a = driver_answer(ranked); a.level == Probe::Usable::no)
      lines.line(1, "Warning", a.reason);
  }
  for (const auto& flag : conflicting_flags(host.config))
    if (host.config.driver)
      lines.line(1, "Warning",
                 "both " + host.config.config_path + " and " + flag.where + " set " + flag.name);
}

void print_migration(InfoLines& lines, const std::optional<OpenMigration>& open) {
  if (!open) return;
  std::string to(driver_name(open->record.to)), state(state_name(open->state));
  if (open->record.import)
    lines.line(0, "Import", "into " + to + ", " + state);
  else
    lines.line(0, "Migration", std::string(driver_name(open->record.from)) + " to " + to + ", " + state);
  if (open->record.move) {
    lines.line(1, "From Root", open->record.move->from_root);
    lines.line(1, "To Root", open->record.move->to_root);
  }
  if (open->record.keep_going && !open->left)
    lines.line(1, "Left Behind", "not known: its record is missing or damaged");
  else if (open->left && !open->left->empty())
    lines.line(1, "Left Behind", names_of(*open->left) + ": in the old data alone");
  lines.line(1, "Next", next_step(open->record, open->state));
}

std::string size_text(const StoreSummary& store) {
  if (!store.bytes) return "-";
  return (store.bytes_shared && *store.bytes != 0 ? "<= " : "") + human_size(*store.bytes);
}

void print_stores(std::ostream& out, InfoLines& lines,
                  const std::optional<std::vector<StoreSummary>>& known) {
  if (!known) return lines.line(0, "Stores", "not known");
  const std::vector<StoreSummary>& stores = *known;
  if (stores.empty()) return lines.line(0, "Stores", "none");
  lines.heading(0, "Stores");
  Table table({"DRIVER", "ACTIVE", "IMAGES", "CONTAINERS", "LAYERS", "BUILD CACHE", "ORPHANED", "SIZE"});
  for (const auto& s : stores)
    table.row({s.driver, s.active ? "*" : "", count(s.images), count(s.containers), count(s.layers),
               count(s.build_cache), count(s.orphans), size_text(s)});
  table.print(out, 1);
  for (const auto& s : stores)
    if (!s.hidden_reason.empty()) lines.line(1, "Hidden: " + s.driver, s.hidden_reason);
  for (const auto& s : stores)
    for (const auto& problem : s.problems)
      lines.line(
          1,
          (!problem.fatal        ? "Ignored by the engine: "
           : problem.fix.empty() ? "Damaged: "
                                 : "Not Readable: ") +
              s.driver,
          problem.what + (problem.concerns.empty() ? "" : " (needed by " + join(problem.concerns) + ")"));
}

void print_drivers(InfoLines& lines, const HostReport& host) {
  lines.heading(0, "Drivers");
  auto recommended = recommended_driver(host.drivers);
  for (const auto& ranked : host.drivers) {
    DriverAnswer a = driver_answer(ranked);
    std::string level = a.level == Probe::Usable::yes           ? "usable"
                        : a.level == Probe::Usable::with_limits ? "usable with limits"
                                                                : "not usable";
    lines.line(1, std::string(driver_name(ranked.kind)),
               level + (ranked.kind == recommended ? ", recommended" : ""));
    if (!a.reason.empty()) lines.line(2, a.level == Probe::Usable::no ? "Reason" : "Limits", a.reason);
    if (!a.evidence.empty()) lines.line(2, "Evidence", a.evidence);
    if (!a.fix.empty()) lines.line(2, "Fix", a.fix);
  }
}

void print_others(std::ostream& out, InfoLines& lines, const std::vector<OtherStore>& stores) {
  if (stores.empty()) return;
  lines.heading(0, "Other Stores");
  Table table({"ENGINE", "DRIVER", "CONFIGURED", "IMAGES", "CONTAINERS", "LAYERS", "ROOT"});
  for (const auto& s : stores)
    table.row({s.engine, s.driver.empty() ? "-" : s.driver, s.configured ? "*" : "", count(s.images),
               count(s.containers), count(s.layers), s.root});
  table.print(out, 1);
  for (const auto& s : stores)
    if (!s.note.empty()) lines.line(1, "Note: " + s.engine + " " + s.driver, s.note);
}

}  // namespace

void print_info_text(std::ostream& out, const InfoReport& report) {
  const HostReport& host = report.host;
  InfoLines lines(out);
  print_host(lines, host.host);
  print_engine(lines, host);
  print_root(lines, host);
  print_driver(lines, host);
  print_migration(lines, report.migration);
  print_stores(out, lines, report.stores);
  print_drivers(lines, host);
  print_others(out, lines, host.other_stores);
}

}  // namespace drover
