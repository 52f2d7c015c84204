#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "cmd/context.hpp"
#include "cmd/render.hpp"
#include "cmd/selection.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kCellWidth = 22;      // of a column in --explain
constexpr std::size_t kDriversInBlock = 4;  // side by side: about 110 columns

std::string usable_word(const RankedDriver& driver) {
  if (!driver.usable()) return "no";
  return driver.probe.usable == Probe::Usable::yes ? "yes" : "with limits";
}

/// The words of a text in lines of at most kCellWidth characters, where words allow it.
std::vector<std::string> wrapped(std::string_view text) {
  std::vector<std::string> lines(1);
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > kCellWidth) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

using DriverText = std::string (*)(const NamedDriver&);

struct Property {
  const char* name;
  DriverText text;
};

std::string trait(std::string_view DriverTraits::*field, const NamedDriver& d) {
  return std::string(driver_traits(d.ranked.kind).*field);
}

const Property kProperties[] = {
    {"usable here", [](const NamedDriver& d) { return usable_word(d.ranked); }},
    {"maturity", [](const NamedDriver& d) { return trait(&DriverTraits::maturity, d); }},
    {"copy-up unit", [](const NamedDriver& d) { return trait(&DriverTraits::copy_up_unit, d); }},
    {"copy-up cost", [](const NamedDriver& d) { return trait(&DriverTraits::copy_up_cost, d); }},
    {"page cache", [](const NamedDriver& d) { return trait(&DriverTraits::page_cache, d); }},
    {"density", [](const NamedDriver& d) { return trait(&DriverTraits::density, d); }},
    {"memory", [](const NamedDriver& d) { return trait(&DriverTraits::memory, d); }},
    {"needs", [](const NamedDriver& d) { return trait(&DriverTraits::needs, d); }},
};

void add_wrapped_row(Table& table, const std::string& name, const std::vector<std::string>& cells) {
  std::vector<std::vector<std::string>> lines;
  std::size_t height = 1;
  for (const std::string& cell : cells) {
    lines.push_back(wrapped(cell));
    height = std::max(height, lines.back().size());
  }
  for (std::size_t line = 0; line < height; ++line) {
    std::vector<std::string> row = {line == 0 ? name : ""};
    for (const auto& cell : lines) row.push_back(line < cell.size() ? cell[line] : "");
    table.row(std::move(row));
  }
}

void print_block(std::ostream& out, const std::vector<NamedDriver>& drivers) {
  std::vector<std::string> headings = {"DRIVER"};
  for (const NamedDriver& d : drivers) headings.push_back(d.name);
  Table table(std::move(headings));
  auto row = [&](const std::string& name, auto text) {
    std::vector<std::string> cells;
    for (const NamedDriver& d : drivers) cells.push_back(text(d));
    add_wrapped_row(table, name, cells);
  };
  for (const Property& property : kProperties) row(property.name, property.text);
  for (Workload w : kWorkloads)
    row(std::string(workload_name(w)), [&](const NamedDriver& d) {
      return std::to_string(driver_traits(d.ranked.kind).verdict(w).score) + " of 10";
    });
  table.print(out);
}

void print_finding(std::ostream& out, const NamedDriver& driver) {
  const Probe& probe = driver.ranked.probe;
  auto line = [&](const char* name, const std::string& text) {
    if (!text.empty()) out << "  " << name << ": " << printable(text) << "\n";
  };
  out << driver.name << ": " << usable_word(driver.ranked) << "\n";
  line("why", driver.ranked.why);
  if (probe.reason != driver.ranked.why) line(driver.ranked.usable() ? "limits" : "here", probe.reason);
  line("seen", probe.evidence);
  if (driver.ranked.in_engine) line("fix", probe.fix);
}

Json driver_json(const NamedDriver& driver, bool recommended) {
  const RankedDriver& r = driver.ranked;
  const DriverTraits& t = driver_traits(r.kind);
  Json scores = Json::object();
  for (Workload w : kWorkloads) scores[std::string(workload_name(w))] = t.verdict(w).score;
  return {{"driver", driver.name},
          {"usable", r.usable()},
          {"with_limits", r.usable() && r.probe.usable == Probe::Usable::with_limits},
          {"in_engine", r.in_engine},
          {"recommended", recommended},
          {"score", r.score},
          {"why", r.why},
          {"reason", r.probe.reason},
          {"evidence", r.probe.evidence},
          {"fix", r.probe.fix},
          {"traits",
           {{"maturity", t.maturity},
            {"copy_up_unit", t.copy_up_unit},
            {"copy_up_cost", t.copy_up_cost},
            {"page_cache", t.page_cache},
            {"density", t.density},
            {"memory", t.memory},
            {"needs", t.needs}}},
          {"scores", scores}};
}

Json selection_json(const Selection& s, const SelectResult& result) {
  return {{"driver", s.choice},
          {"in_force", s.in_force},
          {"current", s.current},
          {"current_source", s.current_source},
          {"hides", s.hides},
          {"removed_options", s.removed},
          {"remarks", s.remarks},
          {"config_path", s.file.path()},
          {"diff", s.in_force ? "" : s.file.diff(s.new_text)},
          {"changed", result.changed},
          {"backup", result.backup ? Json(*result.backup) : Json()}};
}

void print_text(std::ostream& out, const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out << printable(line) << "\n";
}

}  // namespace

void print_ranking(Context& context, const SelectOptions& options, const Ranking& ranking) {
  context.out << "Drivers on " << ranking.data_root << " for the workload " << workload_name(options.workload)
              << ", best first:\n";
  Table table({"DRIVER", "USABLE", "SCORE", "WHY"});
  for (const NamedDriver& d : ranking.drivers) {
    std::string score = d.ranked.usable() ? std::to_string(d.ranked.score) : "-";
    table.row({d.name, usable_word(d.ranked), score, d.ranked.why});
    if (d.ranked.usable() && !d.ranked.probe.reason.empty())
      table.row({"", "", "", "limits: " + d.ranked.probe.reason});
  }
  table.print(context.out);
  context.out << "\n";
}

void print_explanation(Context& context, const SelectOptions& options, const Ranking& ranking) {
  for (std::size_t at = 0; at < ranking.drivers.size(); at += kDriversInBlock) {
    auto first = ranking.drivers.begin() + static_cast<std::ptrdiff_t>(at);
    auto count = std::min(kDriversInBlock, ranking.drivers.size() - at);
    print_block(context.out, {first, first + static_cast<std::ptrdiff_t>(count)});
    context.out << "\n";
  }
  context.out << "On " << ranking.data_root << ", for the workload " << workload_name(options.workload)
              << ", best first:\n";
  for (const NamedDriver& d : ranking.drivers) print_finding(context.out, d);
}

void print_selection(Context& context, const SelectOptions&, const Selection& selection) {
  context.out << "Choice: " << selection.choice << "\n";
  if (!selection.current.empty())
    context.out << "Now: " << printable(selection.current) << " (" << printable(selection.current_source)
                << ")\n";
  for (const std::string& remark : selection.remarks) context.out << "Note: " << printable(remark) << ".\n";
  if (selection.in_force) {
    context.out << selection.choice << " is in force already; nothing to change\n";
    return;
  }
  context.out << "\n";
  print_text(context.out, selection.file.diff(selection.new_text));
}

void print_select_json(Context& context, const SelectOptions& options, const Ranking& ranking,
                       const Selection* selection, const SelectResult& result) {
  Json json = {{"engine", options.engine}, {"data_root", ranking.data_root}};
  json["workload"] = workload_name(options.workload);
  json["drivers"] = Json::array();
  for (const NamedDriver& d : ranking.drivers)
    json["drivers"].push_back(driver_json(d, &d == &ranking.drivers.front() && d.ranked.usable()));
  if (selection) json["choice"] = selection_json(*selection, result);
  print_json(context.out, json);
}

}  // namespace drover
