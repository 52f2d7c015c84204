// The edits of a container's config.v2.json: another driver, another home, another data root. Nothing else
// changes.
#include <nlohmann/json.hpp>

#include "migrate/archive/container_config.hpp"
#include "migrate/root_paths.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store_parts.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

constexpr const char* kRewrittenPaths[] = {"HostnamePath", "HostsPath", "ResolvConfPath", "LogPath",
                                           "ShmPath"};

nlohmann::json container_but(const std::string& text, std::initializer_list<const char*> keys) {
  nlohmann::json json = store::parse_json(text);
  for (const char* key : keys) json.erase(key);
  for (const char* key : kRewrittenPaths) json.erase(key);
  return json;
}

void check_move(const std::string& text) {
  const std::string moved = moved_container_config(text, "/old", "/mnt/new");
  promise(container_but(moved, {"MountPoints"}) == container_but(text, {"MountPoints"}),
          "all but paths stays");
  nlohmann::json before = store::parse_json(text), after = store::parse_json(moved);
  for (const char* key : kRewrittenPaths) {
    std::string was = before.contains(key) && before[key].is_string() ? before[key].get<std::string>() : "";
    if (was.starts_with("/old/"))
      promise_same(after[key].get<std::string>(), "/mnt/new" + was.substr(4),
                   "a path into the root moves along");
    else
      promise(before.value(key, nlohmann::json()) == after.value(key, nlohmann::json()), "other paths stay");
  }
  promise_same(moved_container_config(moved, "/old", "/mnt/new"), moved, "moved again, nothing changes");
}

}  // namespace

FUZZ_TARGET(container_rewrite) {
  const std::string text(input);
  attachments_of(text);
  for (DriverKind kind : {DriverKind::vfs, DriverKind::fuse_overlayfs}) {
    const std::string changed = config_for_driver(text, kind);
    promise(container_but(changed, {"Driver"}) == container_but(text, {"Driver"}),
            "all but the driver stays");
    promise(store::parse_json(changed)["Driver"] == driver_name(kind), "the driver is the new one");
    promise_same(config_for_driver(changed, kind), changed, "again, nothing changes");
  }
  const std::string old_id(64, 'a'), id(64, 'b');
  const std::string home = config_for_home(text, old_id, {id, "box", "/var/lib/docker", DriverKind::vfs});
  promise(container_but(home, {"Driver", "ID", "Name"}) == container_but(text, {"Driver", "ID", "Name"}),
          "all but driver, ID, name and paths stays");
  nlohmann::json after = store::parse_json(home);
  promise(after["ID"] == id && after["Name"] == "/box", "ID and name are the new ones");
  for (const char* key : kRewrittenPaths)
    if (after.contains(key) && after[key].is_string())
      promise(after[key].get<std::string>().find("/containers/" + old_id + "/") == std::string::npos,
              "no path leads into the old folder");
  check_move(text);
}
