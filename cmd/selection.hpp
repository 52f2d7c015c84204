#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "detect/recommend.hpp"
#include "migrate/config_file.hpp"

namespace drover {

struct Context;

/// What the user asks `drover select` for.
struct SelectOptions {
  std::optional<std::string> driver;
  std::vector<std::string> storage_opts;
  Workload workload = Workload::general;
  std::string engine = "docker";
  bool explain = false;
  bool dry_run = false;
};

/// A driver under the name that an engine has for it.
struct NamedDriver {
  std::string name;
  RankedDriver ranked;
};

/// The drivers of one engine on this host, best first.
struct Ranking {
  std::string data_root;  ///< where they were tried
  std::vector<NamedDriver> drivers;
};

/// One engine's drivers, tried on its data root and with its storage-opts, by the names that `names` gives to
/// those it has.
Ranking rank_on(const std::string& data_root, const std::vector<std::string>& storage_opts,
                const std::vector<std::pair<std::string, DriverKind>>& names, Workload,
                const std::optional<EngineVersion>&);

/// The driver that the user asks for, else the best. Throws Error: usage for an unknown name, not_usable with
/// the reason and what to do about it.
const NamedDriver& choose(const Ranking&, const SelectOptions&);

/// A choice, and what writing it down would do.
struct Selection {
  std::string choice;
  std::string current, current_source;  ///< empty where nothing is configured
  bool in_force = false;                ///< there is nothing to change
  std::vector<std::string> hides;       ///< drivers whose data the engine does not show under this one
  std::vector<std::string> removed;     ///< options that the new driver does not take
  std::vector<std::string> remarks;     ///< what else there is to know, a sentence each
  ConfigFile file;
  std::string new_text;
  /// Asks the engine about the new text before it is written; throws Error if it refuses, gives back a remark
  /// or nothing.
  std::function<std::string(const std::string&)> check;
  std::string next;  ///< how it takes effect
};

Ranking docker_ranking(const SelectOptions&, const Context&);
Selection docker_selection(const SelectOptions&, const Context&, const Ranking&);
Ranking podman_ranking(const SelectOptions&, const Context&);
Selection podman_selection(const SelectOptions&, const Context&, const Ranking&);
Ranking containerd_ranking(const SelectOptions&, const Context&);
Selection containerd_selection(const SelectOptions&, const Context&, const Ranking&);

/// What came of a selection.
struct SelectResult {
  bool changed = false;
  std::optional<std::string> backup;
};

void print_ranking(Context&, const SelectOptions&, const Ranking&);
/// The table of all drivers' traits, side by side, with what was found here.
void print_explanation(Context&, const SelectOptions&, const Ranking&);
void print_selection(Context&, const SelectOptions&, const Selection&);
/// One JSON object; without a selection only what --explain shows.
void print_select_json(Context&, const SelectOptions&, const Ranking&, const Selection*, const SelectResult&);

}  // namespace drover
