// daemon.json: read, and given another driver, other options and another data root. Text, driver, options
// (one a line), root.
#include "detect/engine_config.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "detect/config_root.hpp"
#include "detect/json_edit.hpp"
#include "drivers/devicemapper_options.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/zfs_parent.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

/// All but these keys.
nlohmann::json daemon_json_but(const std::string& text, std::initializer_list<const char*> keys) {
  auto json = text.find_first_not_of(" \t\r\n") == std::string::npos ? nlohmann::json::object()
                                                                     : nlohmann::json::parse(text);
  for (const char* key : keys) json.erase(key);
  return json;
}

}  // namespace

FUZZ_TARGET(engine_config) {
  auto part = parts_of(input, 4);
  const std::string& text = part[0];
  const std::string driver = part[1].empty() ? "overlay2" : as_utf8(part[1]);
  std::vector<std::string> options;
  for (const std::string& line : lines_of(part[2])) options.push_back(as_utf8(line));
  refused([&] { require_storage_opts(driver, options); });
  const std::vector<std::string> old = storage_opts_of(text);
  refused([&] { parse_devicemapper_options(old); });
  if (zfs_fsname(old)) refused([&] { find_zfs_parent("/", old); });
  std::vector<std::string> removed;
  const std::string changed = config_with_driver(text, driver, options, &removed);
  promise_same(nlohmann::json::parse(changed)["storage-driver"].get<std::string>(), driver,
               "the driver is set");
  promise(daemon_json_but(changed, {"storage-driver", "storage-opts"}) ==
              daemon_json_but(text, {"storage-driver", "storage-opts"}),
          "all else stays");
  const std::vector<std::string> now = storage_opts_of(changed);
  promise(now.size() + removed.size() <= old.size() + options.size(), "no option is made up");
  for (const std::string& option : now)
    promise(storage_opt_fits(driver, option) ||
                std::find(options.begin(), options.end(), option) != options.end(),
            "no option of another driver is left");
  for (const std::string& option : options)
    promise(std::find(now.begin(), now.end(), option) != now.end(), "all new options are there");
  promise_same(config_with_driver(changed, driver, options, nullptr), changed, "again, nothing changes");
  if (part[3].empty()) return;
  const std::string root = as_utf8(part[3]), moved = config_with_root(text, root);
  promise_same(root_of_config(moved).value_or("absent"), root, "the data root is set");
  promise(daemon_json_but(moved, {"data-root", "graph"}) == daemon_json_but(text, {"data-root", "graph"}),
          "all but the data root stays");
}
